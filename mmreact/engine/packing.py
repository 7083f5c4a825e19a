"""Make packed files of checkpoints, with what a config knows of images."""
import hashlib
from pathlib import Path
from typing import Iterator, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from torch import nn

from ..export import lower
from ..packed.file import PackedFile
from ..utils.checkpoint import (CONFIG_HINT, download, find_weights, is_url,
                                load_checkpoint, recorded_classes)
from ..version import __version__
from .test_images import (image_preprocessing, input_channels, input_size,
                          samples, training_images)


def load_model(cfg: Config, checkpoint: Union[str, Path]) -> nn.Module:
    """Build a config's model with the weights of a checkpoint, for testing.

    Raises:
        CheckpointError: If it cannot be read or does not fit exactly.
    """
    content = load_checkpoint(checkpoint)
    model = build_model(cfg)
    reading = find_weights(
        model, content, f'The checkpoint {checkpoint}', hint=CONFIG_HINT)
    model.load_state_dict(reading.weights)
    return model


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model (``data_preprocessor`` included), for testing.
    """
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    model = dict(cfg.model)
    if cfg.get('data_preprocessor') is not None:  # as Runner does
        model.setdefault('data_preprocessor', dict(cfg.data_preprocessor))
    return MODELS.build(model).eval()


def pack(cfg: Config,
         checkpoint: Union[str, Path],
         model: Optional[nn.Module] = None,
         size: Optional[Sequence[int]] = None,
         preprocessing: bool = True) -> PackedFile:
    """Lower a trained classifier and gather what goes into its file.

    Args:
        cfg (Config): With ``model``, ``data_preprocessor`` and
            ``test_dataloader``.
        checkpoint (str | Path): File or address.
        model (nn.Module, optional): What :func:`load_model` gives for it.
        size (Sequence[int], optional): Height and width of the network's
            images. Defaults to those that the test pipeline makes.
        preprocessing (bool): Whether to take the test pipeline over.

    Raises:
        CheckpointError: If the checkpoint cannot be read or does not fit.
        LoweringError: If the model, or the test pipeline, has parts that
            packed files do not know.
    """
    model = model or load_model(cfg, checkpoint)
    made = image_preprocessing(cfg, size) if preprocessing else None
    size = size or input_size(cfg, made)
    program = lower(model, (input_channels(cfg), *size))
    number = program.infer(program.input_shape)[program.output].shape[-1]
    path = download(str(checkpoint)) if is_url(checkpoint) else checkpoint
    source = dict(
        config=str(cfg.filename or ''),
        checkpoint=str(checkpoint),
        checkpoint_sha256=_sha256(path),
        mmreact=__version__)
    if training_images(cfg).text:
        source['images'] = training_images(cfg).text
    names = class_names(cfg, load_checkpoint(path), number)
    return PackedFile(program, made, names, source)


def _sha256(path: Union[str, Path]) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def class_names(cfg: Config, checkpoint: Mapping,
                number: Optional[int]) -> Tuple[str, ...]:
    """The names that a checkpoint was trained with, else the data set's.

    There are none if they are unknown, or not as many as the classes are.
    """
    info = getattr(
        DATASETS.get(cfg.test_dataloader.dataset.type), 'METAINFO',
        None) or {}
    own = tuple(map(str, info.get('classes') or ()))
    for names in (recorded_classes(checkpoint), own):
        if len(names) == number:
            return names
    return ()


def batches(cfg: Config,
            model: nn.Module,
            number: int,
            packed: Optional[PackedFile] = None,
            batch_size: int = 16) -> Iterator[np.ndarray]:
    """Yield the first test images, as the model sees them.

    Args:
        cfg (Config): Whose test set and pipeline they are.
        model (nn.Module): Its ``data_preprocessor`` normalises them.
        number (int): How many.
        packed (PackedFile, optional): If it has a preprocessing, that must
            make the same numbers of the images.
        batch_size (int): Images of a batch, ``(N, C, H, W)`` float32.

    Raises:
        ValueError: If the preprocessing makes other numbers.
    """
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    batch, done = [], 0
    for sample in samples(cfg, number):
        batch.append(sample)
        if len(batch) == batch_size:
            yield _batch(model, batch, packed, done)
            done, batch = done + len(batch), []
    if batch:
        yield _batch(model, batch, packed, done)


def _batch(model: nn.Module, samples, packed, done: int) -> np.ndarray:
    inputs, raw = zip(*samples)
    with torch.no_grad():
        x = model.data_preprocessor(dict(inputs=default_collate(inputs)))
    x = x['inputs'].numpy()
    if packed is not None and packed.preprocessing is not None:
        for i, image in enumerate(raw):
            own = packed.preprocessing(image)
            if own.shape != x[i:i + 1].shape or (own != x[i:i + 1]).any():
                raise ValueError(
                    f'The preprocessing of the packed file does not make of '
                    f'test image {done + i} what the test pipeline makes.')
    return x
