"""Read checkpoints safely and match them strictly.

Checkpoints come from elsewhere: they are unpickled with ``weights_only=True``
always, and no key is dropped in silence.
"""
import zipfile
from pathlib import Path
from typing import Mapping, Union
from urllib.parse import urlparse

import torch
from torch import nn

from ..zoo.download import fetch, is_in_order
from ..zoo.errors import ZooError
from ..zoo.rows import zoo_file


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read, or that does not fit the model."""


def is_url(source: Union[str, Path]) -> bool:
    """Whether a checkpoint's source is an address and not a file."""
    return urlparse(str(source)).scheme in ('http', 'https')


def check_file(path: Union[str, Path]) -> Path:
    """Say early what is wrong with a local checkpoint file.

    Raises:
        CheckpointError: If it does not exist or is not a whole checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'There is no checkpoint {path}.')
    with open(path, 'rb') as f:
        zipped = f.read(2) == b'PK'
    if path.stat().st_size == 0 or (zipped and not zipfile.is_zipfile(path)):
        raise CheckpointError(
            f'The checkpoint {path} ({path.stat().st_size} bytes) is '
            'truncated. Copy it again, or use an earlier one.')
    return path


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
        with zipfile.ZipFile(path) as file:
            record = file.testzip()
    except Exception as error:  # zipfile raises many kinds
        record = f'{type(error).__name__}: {error}'
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


def load_checkpoint(source: Union[str, Path],
                    map_location: str = 'cpu') -> dict:
    """Load a checkpoint from a file or an address, without trusting it.

    Args:
        source (str | Path): A file, or an http(s) address, which is
            downloaded once into the cache (on rank 0 first).
        map_location (str): Device of the tensors. Defaults to 'cpu'.

    Raises:
        CheckpointError: If it cannot be had, is truncated, or holds anything
            but tensors and plain values. The message says what to do.
    """
    if is_url(source):
        from mmengine.dist import barrier, is_main_process
        if is_main_process():
            download(str(source))
        barrier()
        source = download(str(source))
    path = check_file(source)
    try:
        checkpoint = torch.load(path, map_location, weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f'Cannot read the checkpoint {path}: '
            f'{str(error).splitlines()[0] if str(error) else error!r}. It is '
            'corrupt, not a PyTorch checkpoint, or holds other objects than '
            'tensors, which are not loaded.') from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'The checkpoint {path} holds a '
                              f'{type(checkpoint).__name__}, not a dict.')
    return checkpoint


def get_state_dict(checkpoint: Mapping) -> dict:
    """Return the weights of a checkpoint, without DataParallel's prefix."""
    state_dict = checkpoint.get('state_dict', checkpoint)
    return {key.removeprefix('module.'): v for key, v in state_dict.items()}


def with_head_of(model: nn.Module, state_dict: Mapping) -> dict:
    """Replace the classifier (``head.*``) in weights by the model's own."""
    kept = {k: v for k, v in state_dict.items() if not _is_head(k)}
    own = model.state_dict()
    return {**kept, **{k: v.clone() for k, v in own.items() if _is_head(k)}}


def with_batch_counters(model: nn.Module, state_dict: Mapping) -> dict:
    """Add the model's own counters of batches to weights that have none.

    Old versions of torch did not count them, and eval mode has no use for
    them.
    """
    if any(key.endswith('num_batches_tracked') for key in state_dict):
        return dict(state_dict)
    own = model.state_dict()
    counters = {k: own[k] for k in own if k.endswith('num_batches_tracked')}
    return {**state_dict, **counters}


def _is_head(key: str) -> bool:
    return key.startswith('head.')


def check_match(model: nn.Module, state_dict: Mapping, source: str) -> None:
    """Require that names and shapes are exactly those of the model.

    Args:
        model (nn.Module): The model to load into.
        state_dict (Mapping[str, Tensor]): The weights.
        source (str): Where they come from, for the message.

    Raises:
        CheckpointError: Names every key that is missing, unexpected or of
            another shape.
    """
    expected = {key: tuple(v.shape) for key, v in model.state_dict().items()}
    given = {  # a file of another layout also holds e.g. numbers
        key: tuple(getattr(v, 'shape', ()))
        for key, v in state_dict.items()
    }
    lines = [
        f'  missing: {key} {shape}' for key, shape in expected.items()
        if key not in given
    ]
    lines += [
        f'  unexpected: {key} {shape}' for key, shape in given.items()
        if key not in expected
    ]
    lines += [
        f'  shape: {key} is {given[key]}, the model has {shape}'
        for key, shape in expected.items()
        if key in given and given[key] != shape
    ]
    if lines:
        raise CheckpointError(
            f'{source} does not fit the model; {len(lines)} keys differ:\n' +
            '\n'.join(lines) +
            '\nUse a checkpoint of this architecture and these widths.')
