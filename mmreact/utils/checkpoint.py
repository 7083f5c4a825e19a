"""Read checkpoints safely and match them strictly.

Checkpoints come from elsewhere: they are unpickled with ``weights_only=True``
always and in bounded memory, and no key is dropped in silence.
"""
import sys
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple, Union
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from ..zoo.download import fetch, is_in_order
from ..zoo.errors import ZooError
from ..zoo.file_kinds import file_kind
from ..zoo.rows import zoo_file
from .bounded_load import bounded_load
from .differences import compare, describe, head_keys, other_classes, shapes
from .torch_archive import RefusedError, TorchArchive
from .weights import Prepare, Reading, as_they_are, fitting, nearest

#: What to do about another number of classes, ``{}``.
RESET_HINT = '--reset-head takes the rest and starts the classifier anew.'
CONFIG_HINT = (
    'Set model.head.num_classes={0} (VGG: model.backbone.num_classes) '
    'and data_preprocessor.num_classes={0} in the config or with '
    '--cfg-options.')


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read, or that does not fit the model."""
    about_input = True


def recorded_meta(checkpoint: Mapping) -> dict:
    """What MMEngine records beside the weights; empty if it is not there."""
    meta = checkpoint.get('meta')
    return dict(meta) if isinstance(meta, Mapping) else {}


def recorded_classes(checkpoint: Mapping) -> Tuple[str, ...]:
    """Names of the classes that a checkpoint was trained with, or none."""
    meta = recorded_meta(checkpoint).get('dataset_meta')
    names = meta.get('classes') if isinstance(meta, Mapping) else None
    known = isinstance(names, (list, tuple)) and all(
        isinstance(name, (str, int)) for name in names)
    return tuple(map(str, names)) if known else ()


def is_url(source: Union[str, Path]) -> bool:
    """Whether a checkpoint's source is an address and not a file."""
    return urlparse(str(source)).scheme in ('http', 'https')


def check_file(path: Union[str, Path]) -> Path:
    """Say early what is wrong with a local checkpoint file.

    Raises:
        CheckpointError: If it does not exist or is not a whole checkpoint.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise CheckpointError(f'There is no checkpoint {path}.')
    kind = file_kind(path)
    if kind is not None:
        raise _refusal(path, kind)
    with open(path, 'rb') as f:
        zipped = f.read(2) == b'PK'
    try:
        if zipped:
            TorchArchive(path)
    except RefusedError as error:
        raise _refusal(path, error) from error
    return path


def _refusal(path: Path, reason: Any) -> CheckpointError:
    size = f' ({path.stat().st_size} bytes)' if path.is_file() else ''
    return CheckpointError(f'The checkpoint {path}{size} '
                           f'{str(reason).rstrip(".")}.')


def verify_file(path: Union[str, Path]) -> Path:
    """Read a checkpoint file and check its records' checksums.

    torch writes a zip file with a CRC-32 of each record, so that a file that
    was cut or changed on disk is found. (Files older than torch 1.6 have
    none.) Nothing is unpickled.

    Raises:
        CheckpointError: If it does not exist, or is truncated or corrupt.
    """
    path = check_file(path)
    with open(path, 'rb') as f:
        if f.read(1) == b'\x80':  # a pickle, as torch wrote once
            return path
    try:
        record = TorchArchive(path).first_damaged()
    except RefusedError as error:
        record = str(error)
    if record is not None:
        raise CheckpointError(f'The checkpoint {path} is corrupt ({record}). '
                              'Copy it again, or use an earlier one.')
    return path


def download(url: str) -> Path:
    """Return the local file of an address; it is downloaded once.

    A file in torch's own cache, where MMPretrain keeps its checkpoints, is
    taken if it is the right one. Else see :func:`mmreact.zoo.download.fetch`.

    Raises:
        CheckpointError: If it cannot be had; says what to do.
    """
    try:
        file = zoo_file('A checkpoint', dict(URL=url))
        theirs = Path(torch.hub.get_dir()) / 'checkpoints' / file.name
        return theirs if is_in_order(theirs, file) else fetch(file)
    except ZooError as error:
        raise CheckpointError(f'Cannot download a checkpoint. {error} Or '
                              'give a file instead of the address.') from error


def local_checkpoint(source: Union[str, Path]) -> Path:
    """The file of a checkpoint, which is downloaded on rank 0 first.

    Raises:
        CheckpointError: If it cannot be had, or is not a whole checkpoint.
    """
    if is_url(source):
        from mmengine.dist import barrier, is_main_process
        if is_main_process():
            download(str(source))
        barrier()
        source = download(str(source))
    return check_file(source)


def load_checkpoint(source: Union[str, Path],
                    map_location: Any = 'cpu') -> dict:
    """Load a checkpoint from a file or an address, without trusting it.

    Args:
        source (str | Path): A file, or an http(s) address, which is
            downloaded once into the cache (on rank 0 first).
        map_location (str): Device of the tensors. Defaults to 'cpu'.

    Raises:
        CheckpointError: If it cannot be had, is truncated, or holds anything
            but tensors and plain values. The message says what to do.
    """
    path = local_checkpoint(source)
    try:
        checkpoint = bounded_load(path, map_location)
    except RefusedError as error:
        raise _refusal(path, error) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'The checkpoint {path} holds a '
                              f'{type(checkpoint).__name__}, not a dict.')
    return checkpoint


def use_in_mmengine() -> None:
    """Have MMEngine read local checkpoints as :func:`load_checkpoint` does.

    So do ``load_from``, ``resume`` and ``init_cfg``. It would load them with
    ``torch.load`` alone, which has no bounds.
    """
    from mmengine.runner.checkpoint import CheckpointLoader

    def load_from_local(filename, map_location=None):  # its name is logged
        return load_checkpoint(filename, map_location)

    CheckpointLoader.register_scheme('', load_from_local, force=True)


def find_weights(model: nn.Module,
                 checkpoint: Mapping,
                 source: str,
                 prepare: Prepare = as_they_are,
                 hint: str = '') -> Reading:
    """Find the weights of a model in a checkpoint.

    If they are not where MMEngine and torch put them, a line on standard
    error says where they were.

    Args:
        model (nn.Module): The model to load into.
        checkpoint (Mapping): From :func:`load_checkpoint`.
        source (str): Its file, for the message.
        prepare (Callable): See :func:`mmreact.utils.weights.fitting`; the
            weights are returned as it gives them.
        hint (str): What to do about another number of classes, ``{}``.

    Raises:
        CheckpointError: If no reading of it fits, or several do.
    """
    found = fitting(model, checkpoint, prepare)
    if not found:
        raise _misfit(model, checkpoint, source, prepare, hint)
    first, *others = found
    if others and not first.is_plain:
        raise CheckpointError(
            f'{source} holds {len(found)} sets of weights that fit the model: '
            f'{"; ".join(map(str, found[:5]))}. Save the one that you want '
            "alone: torch.save({'state_dict': WEIGHTS}, FILE).")
    if not first.is_plain:
        _say(f'{source}: the weights are {first}.')
    elif any(other.place != 'ema_state_dict' for other in others):
        _say(f'{source}: the weights are {first}. '
             f'{"; ".join(map(str, others[:5]))} fit, too, and are not used.')
    return first._replace(weights=prepare(model, first.weights))


def _say(text: str) -> None:
    """A line on standard error: standard output may be a tool's JSON."""
    from mmengine.dist import is_main_process
    if is_main_process():
        print(text, file=sys.stderr, flush=True)


def _misfit(model, checkpoint, source, prepare, hint) -> CheckpointError:
    """Say in at most ten lines how the nearest reading differs."""
    reading = nearest(model, checkpoint)
    differences = compare(shapes(model), prepare(model, reading.weights))
    classes = other_classes(model, differences)
    todo = 'Use a checkpoint of this architecture and these widths.'
    if classes is not None and hint:
        todo = (f'It has {classes} classes, the model another number. '
                if classes else 'It has no classifier. ')
        todo += hint.format(classes)
    keys = ', '.join(str(key)[:40] for key in list(checkpoint)[:6])
    where = '' if reading.is_plain else f', read {reading}'
    return CheckpointError(
        f'{source}{where} does not fit the model; {len(differences)} keys '
        f'differ:\n{describe(differences)}\nIt holds: {keys}'
        f'{", ..." if len(checkpoint) > 6 else ""}.\n{todo}')


def check_match(model: nn.Module, weights: Mapping, source: str) -> None:
    """Require that names and shapes are exactly those of the model.

    Raises:
        CheckpointError: Names keys that are missing, unexpected or of another
            shape.
    """
    if compare(shapes(model), weights):
        raise _misfit(model, weights, source, as_they_are, '')


def with_head_of(model: nn.Module, weights: Mapping) -> Dict[str, Tensor]:
    """Replace the classifier in weights by the model's own."""
    heads = head_keys(model)
    kept = {
        key: value
        for key, value in weights.items()
        if key not in heads and not key.startswith('head.')
    }
    own = model.state_dict()
    return {**kept, **{key: own[key].clone() for key in heads}}


def with_batch_counters(model: nn.Module,
                        weights: Mapping) -> Dict[str, Tensor]:
    """Add the model's own counters of batches to weights that have none.

    Old versions of torch did not count them, and eval mode has no use for
    them.
    """
    if any(key.endswith('num_batches_tracked') for key in weights):
        return dict(weights)
    own = model.state_dict()
    counters = {k: own[k] for k in own if k.endswith('num_batches_tracked')}
    return {**weights, **counters}
