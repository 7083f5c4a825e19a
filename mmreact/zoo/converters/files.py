"""Convert checkpoint files; the result is written whole or not at all."""
import hashlib
import io
from numbers import Real
from pathlib import Path
from typing import Callable, List, Mapping, Optional, Tuple, Union

import torch

from ...packed.container import write
from ...utils.checkpoint import load_checkpoint, recorded_meta
from ...utils.weights import Reading, common_prefix, places, without
from ...version import __version__
from .configs import backbone_options, read_mmcls, read_ours
from .convert import Conversion, ConversionError, to_ours, to_theirs
from .networks import NETWORKS

PathLike = Union[str, Path]

#: Names in the reruns on MMClassification 0.x -> ours.
MMCLS = {network.mmcls: name for name, network in NETWORKS.items()}


def convert_file(source: PathLike,
                 destination: PathLike,
                 arch: Optional[str] = None,
                 stage: Optional[int] = None) -> Conversion:
    """Make an mmreact checkpoint of one of another implementation.

    Args:
        source (str | Path): ``*.pth.tar`` of the authors' code, or a
            checkpoint of the reruns on MMClassification 0.x.
        destination (str | Path): The file to write. The same source gives
            the same bytes.
        arch (str, optional): A key of :data:`NETWORKS`. Needed only where
            the file does not tell.
        stage (int, optional): 1 or 2, the same.

    Raises:
        CheckpointError: If the source cannot be read, or is of no such
            network. Says what differs, or which argument is needed.
    """
    _check_arguments(source, destination, arch, stage)
    checkpoint = load_checkpoint(source)
    told = backbone_options(recorded_meta(checkpoint).get('config'))
    if told is not None:
        arch, stage = _agree(read_mmcls(told, MMCLS), arch, stage)

    def convert(weights: dict) -> Conversion:
        if any(key.startswith('backbone.stages.') for key in weights):
            raise ConversionError(
                f'{source} has our names already. With --reverse it is '
                'converted for the authors\' code.')
        return to_ours(weights, arch)

    found, reading = _convert(checkpoint, source, convert)
    if found.layout == 'mmcls' and arch is None:
        raise ConversionError(
            f'The names are those of {found.arch} on MMClassification 0.x, '
            'but the checkpoint has no config, and networks that compute '
            'something else (IR-Net) have the same names there. Give --arch '
            'if you know what it is.')
    found.stage = _stage(found, stage)
    found.dropped = _other_keys(checkpoint, reading)
    origin = dict(
        layout=found.layout,
        flat=found.flat,
        module='module.' in reading.prefix,
        sha256=hashlib.sha256(Path(source).read_bytes()).hexdigest())
    for key in ('epoch', 'best_top1_acc'):
        if _number(checkpoint.get(key)) is not None:
            origin[key] = _number(checkpoint[key])
    meta = dict(
        mmreact=__version__,
        arch=found.arch,
        stage=found.stage,
        config=found.config and Path(found.config).stem,
        backbone=found.backbone,
        num_classes=found.sizes[2],
        converted_from=origin)
    _write(destination, dict(meta=meta, state_dict=found.state_dict))
    return found


def reverse_file(source: PathLike,
                 destination: PathLike,
                 arch: Optional[str] = None,
                 stage: Optional[int] = None) -> Conversion:
    """Make a checkpoint for the authors' code of one of ours.

    Its keys begin with ``module.``. It has no optimizer state.

    Args:
        source (str | Path): What :func:`convert_file` or a training here
            wrote.
        destination (str | Path): The file to write.
        arch, stage: As in :func:`convert_file`.

    Raises:
        CheckpointError: As :func:`convert_file`, and if their code has no
            such network.
    """
    _check_arguments(source, destination, arch, stage)
    checkpoint = load_checkpoint(source)
    meta = recorded_meta(checkpoint)
    told = backbone_options(meta.get('cfg'))
    told_stage = meta.get('stage') if told is None else read_ours(told)
    if told_stage in (1, 2):
        _, stage = _agree((None, told_stage), arch, stage)
    elif arch is None or stage is None:
        raise ConversionError(
            f'{source} does not say how it was trained: give --arch and '
            '--stage.')
    origin = meta.get('converted_from')
    origin = origin if isinstance(origin, dict) else {}
    flat = origin.get('flat') if origin.get('layout') == 'official' else None
    flat = False if stage == 1 else flat
    found, reading = _convert(checkpoint, source,
                              lambda weights: to_theirs(weights, arch, flat))
    found.stage = _stage(found, stage)
    found.dropped = _other_keys(checkpoint, reading)
    # Theirs is the number of the last one, from 0; ours counts them.
    epoch = origin.get('epoch', max(_number(meta.get('epoch')) or 0, 1) - 1)
    _write(
        destination,
        dict(
            epoch=epoch,
            state_dict={
                f'module.{k}': v
                for k, v in found.state_dict.items()
            },
            best_top1_acc=origin.get('best_top1_acc', 0)))
    return found


def _check_arguments(source, destination, arch, stage) -> None:
    if Path(source).resolve() == Path(destination).resolve():
        raise ConversionError(f'{destination} is the source itself. Write to '
                              'another file.')
    if arch is not None and arch not in NETWORKS:
        raise ConversionError(f'Unknown network {arch!r}. Known networks: '
                              f'{", ".join(NETWORKS)}.')
    if stage not in (None, 1, 2):
        raise ConversionError(f'The stage is 1 or 2, got {stage!r}.')


def _agree(told: tuple, arch, stage) -> tuple:
    """What the config in a file says, if the arguments say nothing else."""
    for option, given, said in zip(('arch', 'stage'), (arch, stage), told):
        if given is not None and said not in (None, given):
            raise ConversionError(f'--{option} {given} is given, but the '
                                  f'config in the checkpoint says {said}.')
    return told


def _convert(
        checkpoint: Mapping, source: PathLike,
        convert: Callable[[dict], Conversion]) -> Tuple[Conversion, Reading]:
    """Convert the one dict of weights that can be.

    Raises:
        ConversionError: If there is none, or several; if only some keys have
            DataParallel's prefix.
    """
    errors: List[ConversionError] = []
    results: List[Tuple[Conversion, Reading]] = []
    for place, weights in places(checkpoint):
        if 'state_dict' in checkpoint and place != 'state_dict':
            continue
        reading = without(place, common_prefix(weights), weights)
        try:
            _check_prefix(weights, source)
            results.append((convert(reading.weights), reading))
        except ConversionError as error:
            errors.append(error)
    if len(results) == 1:
        return results[0]
    if results:
        names = ', '.join(repr(reading.place) for _, reading in results)
        raise ConversionError(f'{source} holds several sets of weights that '
                              f'can be converted: {names}. Save one alone.')
    raise errors[0] if errors else ConversionError(
        f'{source} holds no weights. Expected a dict with a state_dict in it, '
        f'found these keys: {list(map(str, checkpoint))[:8]}.')


def _check_prefix(weights: Mapping, source: PathLike) -> None:
    prefixed = [key for key in weights if key.startswith('module.')]
    if 0 < len(prefixed) < len(weights):
        some = next(key for key in weights if not key.startswith('module.'))
        raise ConversionError(f'Some keys of {source} begin with module. and '
                              f'some do not: {some}.')


def _other_keys(checkpoint: Mapping, reading: Reading) -> list:
    """What a checkpoint holds beside the weights."""
    place = reading.place.split('.')[0]
    return sorted(str(key) for key in checkpoint if key != place) if place \
        else []


def _stage(found: Conversion, stage: Optional[int]) -> int:
    """Find the stage, or check the given one."""
    stages = sorted(NETWORKS[found.arch].configs)
    if stage is not None and stage not in stages:
        raise ConversionError(f'{found.arch} is trained in one stage, with '
                              'binary weights: leave --stage out.')
    if stage == 1 and found.flat:
        raise ConversionError(
            'The 1-bit weights are stored as a column, (N, 1), which the '
            'authors\' code does in stage 2 only, but --stage 1 is given.')
    if stage is not None:
        return stage
    if found.flat or found.ones or stages == [2]:
        return 2
    raise ConversionError(
        f'The weights are those of {found.arch}, and both stages keep them '
        'in this way. Give --stage 1 (real weights) or --stage 2 (binary '
        'weights).')


def _number(value) -> Optional[float]:
    """A plain number of a number or a tensor of one value."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return value if isinstance(value, Real) else None


def _write(path: PathLike, checkpoint: dict) -> None:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write(path, buffer.getvalue())
