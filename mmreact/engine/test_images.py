"""What a config says of the images that its network is tested on."""
from typing import Iterator, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from ..datasets.descriptions import Description, describe_images
from ..export import LoweringError, read_preprocessing, take_any_size
from ..packed.preprocessing import Preprocessing
from ..packed.reading import open_image
from .stages.checks import check_dataset

#: Keys of transforms that hold the size of what they make.
SIZES = ('crop_size', 'scale', 'size')


def input_size(
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
        size = made.output_size
    except LoweringError:  # only the size is needed here
        size = _last_size(cfg.test_dataloader.dataset.pipeline)
    if size:
        return size
    try:
        image, *_ = next(samples(cfg, 1))
    except (OSError, ValueError) as error:
        raise LoweringError(
            'The test pipeline does not say the size of the images, and the '
            f'test images cannot be read ({error}). Say it: --shape HEIGHT '
            'WIDTH.') from error
    return tuple(image.shape[-2:])


def _last_size(pipeline: Sequence[dict]) -> Optional[Tuple[int, int]]:
    """The square that the last transform makes that says a size."""
    for transform in reversed(pipeline):
        for size in (transform.get(key) for key in SIZES):
            if size is None:
                continue
            edges = {size} if isinstance(size, int) else set(size)
            square = len(edges) == 1 and transform['type'] != 'ResizeEdge'
            return (*edges, *edges) if square else None
    return None


def training_images(cfg: Config) -> Description:
    """What is known of the images of a config's data set."""
    return describe_images(cfg.test_dataloader.dataset.type)


def image_preprocessing(cfg: Config,
                        size: Optional[Sequence[int]] = None) -> Preprocessing:
    """What a config's test pipeline and ``data_preprocessor`` do with images.

    A pipeline that does not resize was made for images of one size. If that
    is known, from the data set or what the pipeline does, other images are
    resized to it.

    Args:
        cfg (Config): With ``test_dataloader``.
        size (Sequence[int], optional): Height and width of the network's
            images; used if the pipeline leaves images as they are.

    Raises:
        LoweringError: If it cannot be had from them.
    """
    made = read_preprocessing(cfg.test_dataloader.dataset.pipeline,
                              _preprocessor(cfg), input_channels(cfg))
    if made.resize is not None:
        return made
    known = _raw_size(cfg, made)
    if known is None and size and made.crop is None:
        known = tuple(size)
    objects = training_images(cfg).objects
    return take_any_size(made, known, objects) if known else made


def note_on_sizes(preprocessing: Optional[Preprocessing]) -> str:
    """What becomes of images that nothing resizes; empty if they are."""
    if preprocessing is None or preprocessing.resize is not None:
        return ''
    if preprocessing.crop is None:
        seen = ('they reach the network as large as they are, and it is right '
                'for sizes that the data set has')
    else:
        seen = ('of those that are larger than the images of the data set, '
                'the network sees the middle only')
    return (f'Note: the test pipeline does not resize images: {seen}. Resize '
            'in the pipeline. Or let the data set be found: if all of its '
            'images have one size, others are resized to it.')


def _raw_size(cfg: Config, made: Preprocessing) -> Optional[Tuple[int, int]]:
    """Height and width of the data set's images, if all have the same."""
    size = training_images(cfg).size
    if size or any(made.pad):  # padding is for images of the crop's size
        return size or made.crop
    try:
        sizes = {open_image(raw).size[::-1] for _, raw in samples(cfg, 16)}
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


def samples(cfg: Config, number: int) -> Iterator[Tuple]:
    """Yield ``(inputs, raw image)`` of the first test images.

    ``inputs`` is what the pipeline makes, the raw image a path or an array.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    check_dataset(cfg.test_dataloader.dataset)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    for i in range(min(number, len(dataset))):
        info = dataset.get_data_info(i)
        raw = info['img_path'] if 'img_path' in info else np.array(info['img'])
        yield dataset[i]['inputs'], raw
