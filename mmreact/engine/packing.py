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

from ..datasets.descriptions import Description, describe_images
from ..export import LoweringError, lower, read_preprocessing, take_any_size
from ..packed.file import PackedFile
from ..packed.preprocessing import Preprocessing
from ..packed.reading import open_image
from ..utils.checkpoint import (check_match, download, get_state_dict, is_url,
                                load_checkpoint)
from ..version import __version__
from .stages.checks import check_dataset


def load_model(cfg: Config, checkpoint: Union[str, Path]) -> nn.Module:
    """Build a config's model with the weights of a checkpoint, for testing.

    Raises:
        CheckpointError: If it cannot be read or does not fit exactly.
    """
    state_dict = get_state_dict(load_checkpoint(checkpoint))
    return build_model(cfg, state_dict, f'The checkpoint {checkpoint}')


def build_model(cfg: Config,
                state_dict: Optional[Mapping] = None,
                source: str = '') -> nn.Module:
    """Build a config's model, for testing.

    Args:
        cfg (Config): With ``model`` and ``data_preprocessor``.
        state_dict (Mapping, optional): Its weights.
        source (str): Where they come from, for the message.

    Raises:
        CheckpointError: If they do not fit exactly.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = dict(cfg.model)
    if cfg.get('data_preprocessor') is not None:  # as Runner does
        model.setdefault('data_preprocessor', dict(cfg.data_preprocessor))
    module = MODELS.build(model)
    if state_dict is not None:
        check_match(module, state_dict, source)
        module.load_state_dict(state_dict)
    return module.eval()


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
    size = size or test_size(cfg, made)
    program = lower(model, (input_channels(cfg), *size))
    number = program.infer(program.input_shape)[program.output].shape[-1]
    path = download(str(checkpoint)) if is_url(checkpoint) else checkpoint
    source = dict(
        config=str(cfg.filename or ''),
        checkpoint=str(checkpoint),
        checkpoint_sha256=hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        mmreact=__version__)
    if training_images(cfg).text:
        source['images'] = training_images(cfg).text
    names = class_names(cfg, load_checkpoint(path), number)
    return PackedFile(program, made, names, source)


def test_size(
        cfg: Config,
        preprocessing: Optional[Preprocessing] = None) -> Tuple[int, int]:
    """Height and width of the images that a config's network is tested on.

    Args:
        cfg (Config): Its pipeline says them, or its data set. Only if neither
            does, the first test image is read.
        preprocessing (Preprocessing, optional): Of the test pipeline.

    Raises:
        LoweringError: If they are not known.
    """
    try:
        made = preprocessing or image_preprocessing(cfg)
        if made.output_size:
            return made.output_size
    except LoweringError:  # only its sizes are needed here
        for transform in reversed(cfg.test_dataloader.dataset.pipeline):
            size = transform.get('crop_size', transform.get('scale'))
            if isinstance(size, int) and transform['type'] != 'ResizeEdge':
                return size, size
    try:
        image, *_ = next(_samples(cfg, 1))
    except (OSError, ValueError) as error:
        raise LoweringError(
            'The test pipeline does not say the size of the images, and the '
            f'test images cannot be read ({error}). Say it: --shape HEIGHT '
            'WIDTH.') from error
    return tuple(image.shape[-2:])


def training_images(cfg: Config) -> Description:
    """What is known of the images of a config's data set."""
    return describe_images(cfg.test_dataloader.dataset.type)


def image_preprocessing(cfg: Config,
                        size: Optional[Sequence[int]] = None) -> Preprocessing:
    """What a config's test pipeline and ``data_preprocessor`` do with images.

    A pipeline that does not resize was made for images of one size. If that
    is known, other images are resized to it.

    Args:
        cfg (Config): With ``test_dataloader``.
        size (Sequence[int], optional): Height and width of what the pipeline
            makes of the data set's images.

    Raises:
        LoweringError: If it cannot be had from them.
    """
    made = read_preprocessing(cfg.test_dataloader.dataset.pipeline,
                              _preprocessor(cfg), input_channels(cfg))
    if made.resize is not None:
        return made
    left, top, right, bottom = made.pad
    raw = _raw_size(
        cfg, made) or size and (size[0] - top - bottom, size[1] - left - right)
    objects = training_images(cfg).objects
    return take_any_size(made, raw, objects) if raw else made


def _raw_size(cfg: Config, made: Preprocessing) -> Optional[Tuple[int, int]]:
    """Height and width of the data set's images, if all have the same."""
    size = training_images(cfg).size
    if size or any(made.pad):  # padding is for images of the crop's size
        return size or made.crop
    try:
        sizes = {open_image(raw).size[::-1] for _, raw in _samples(cfg, 16)}
    except (OSError, ValueError):  # the data set is not there
        return None
    return sizes.pop() if len(sizes) == 1 else None


def input_channels(cfg: Config) -> int:
    """Channels of the images that a config's network takes."""
    mean, backbone = _preprocessor(cfg).get('mean'), cfg.model.get('backbone')
    return len(mean) if mean else (backbone or {}).get('in_channels', 3)


def _preprocessor(cfg: Config) -> dict:
    return dict(
        cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
        or {})


def class_names(cfg: Config, checkpoint: Mapping,
                number: Optional[int]) -> Tuple[str, ...]:
    """The names that a checkpoint was trained with, else the data set's.

    There are none if they are unknown, or not as many as the classes are.
    """
    meta = checkpoint.get('meta') or {}
    own = getattr(
        DATASETS.get(cfg.test_dataloader.dataset.type), 'METAINFO', None)
    for known in (meta.get('dataset_meta'), own):
        names = tuple(map(str, (known or {}).get('classes') or ()))
        if len(names) == number:
            return names
    return ()


def _samples(cfg: Config, number: int) -> Iterator[Tuple]:
    """Yield ``(inputs, raw image)`` of the first test images.

    ``inputs`` is what the pipeline makes, the raw image a path or an array.
    """
    check_dataset(cfg.test_dataloader.dataset)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    for i in range(min(number, len(dataset))):
        info = dataset.get_data_info(i)
        raw = info['img_path'] if 'img_path' in info else np.array(info['img'])
        yield dataset[i]['inputs'], raw


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
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    samples, done = [], 0
    for sample in _samples(cfg, number):
        samples.append(sample)
        if len(samples) == batch_size:
            yield _batch(model, samples, packed, done)
            done, samples = done + len(samples), []
    if samples:
        yield _batch(model, samples, packed, done)


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
