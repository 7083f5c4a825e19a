"""Turn checkpoints and packed files into what is published of them.

What others need to test, pack, fine-tune and run a network stays: weights,
names of the classes, and the part of its config that makes it run. States of
the optimizer, of random numbers and of the log go, and so do paths of the
machine that it was trained on. A published file has the beginning of its
hash in its name, which PyTorch, OpenMMLab and mmreact's downloads check.
"""
import hashlib
import io
import json
from datetime import date
from pathlib import Path, PurePath
from typing import Mapping, Tuple, Union

import torch
from mmengine.config import Config

from ..packed.container import dumps, loads, naming, read
from ..packed.file import decode
from ..utils.checkpoint import (CONFIG_HINT, check_match, find_weights,
                                recorded_meta)
from ..utils.recorded_config import usable_part
from ..version import __version__
from .packing import build_model, class_names
from .stages.checks import get_num_classes


def published_checkpoint(content: Mapping,
                         cfg: Config,
                         source: str,
                         ema: bool = True) -> dict:
    """What is published of a checkpoint.

    Args:
        content (Mapping): The checkpoint.
        cfg (Config): The network's config.
        source (str): Its file, for messages.
        ema (bool): Whether to take the averaged weights, if there are any,
            and not those that were trained. Defaults to True.

    Returns:
        dict: ``state_dict`` and ``meta``: tensors and plain values only.

    Raises:
        CheckpointError: If the weights do not fit the config.
    """
    model = build_model(cfg)
    weights = find_weights(model, content, source, hint=CONFIG_HINT).weights
    averaged = content.get('ema_state_dict')
    if averaged is not None and not ema:
        # MMEngine's EMAHook saves the averages as `state_dict` and what was
        # trained in their place.
        weights.update({
            key.removeprefix('module.'): value
            for key, value in averaged.items() if key.startswith('module.')
        })
    check_match(model, weights, source)
    meta = recorded_meta(content)
    plain = {
        key: meta[key]
        for key in ('epoch', 'iter', 'mmengine_version')
        if isinstance(meta.get(key), (int, str))
    }
    names = class_names(cfg, content, get_num_classes(cfg.model))
    return dict(
        meta=dict(
            plain,
            mmreact_version=__version__,
            cfg=Config(usable_part(cfg.to_dict())).pretty_text,
            dataset_meta=dict(classes=list(names)) if names else {}),
        state_dict={
            # A view would bring all that it is a view of.
            key: value.detach().cpu().clone()
            for key, value in weights.items()
        })


def published_packed(path: Union[str, Path]) -> bytes:
    """The bytes of a packed file without paths of this machine.

    Raises:
        PackedFileError: If the file is not in order.
    """
    with naming('publish', path):
        metadata, tensors = loads(read(path))
        origin = dict(decode(metadata, tensors).source)
        for key in ('config', 'checkpoint'):
            if key in origin:
                origin[key] = PurePath(origin[key]).name
        metadata['source'] = json.dumps(
            origin, ensure_ascii=False, separators=(',', ':'))
        return dumps(metadata, tensors)


def checkpoint_bytes(content: Mapping) -> bytes:
    """A checkpoint's file; equal content gives equal bytes."""
    data = io.BytesIO()  # in a file they would depend on its name
    torch.save(content, data)
    return data.getvalue()


def published_path(data: bytes, out: Union[str, Path], day: str) -> Path:
    """Where a file is published: ``OUT_DAY-HASH`` with OUT's suffix.

    Args:
        data (bytes): The file.
        out (str | Path): Its name without day and hash.
        day (str): ``YYYYMMDD``.
    """
    digits = hashlib.sha256(data).hexdigest()[:8]
    out = Path(out)
    return out.with_name(f'{out.stem}_{day}-{digits}{out.suffix}')


def training_day(meta: Mapping) -> str:
    """``YYYYMMDD``: when a checkpoint was saved; today if it does not say."""
    day = str(meta.get('time', ''))[:8]
    known = len(day) == 8 and day.isascii() and day.isdigit()
    return day if known else date.today().strftime('%Y%m%d')


def left_out(content: Mapping, kept: Mapping) -> Tuple[str, ...]:
    """What a checkpoint holds beside what is published."""
    if 'state_dict' not in content:
        return ()
    return tuple(sorted(set(map(str, content)) - set(kept)))
