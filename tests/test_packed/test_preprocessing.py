"""Preprocessing against MMPretrain's own pipelines, pixel by pixel."""
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from PIL import Image

import mmreact.datasets  # noqa: F401, registers
from mmreact.datasets.transforms import CorruptImageError
from mmreact.packed import Preprocessing, Resize, read_image
from mmreact.packed.resizing import FILTERS

DATASETS = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'
IMAGENET = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
# height, width
SIZES = [(1, 1), (1, 4), (7, 2), (300, 3), (50, 57), (97, 640), (224, 224),
         (255, 254), (256, 256), (257, 256), (256, 311), (301, 500),
         (375, 500), (500, 333), (481, 321), (1023, 769)]


def dataset(name):
    init_default_scope('mmpretrain')
    return Config.fromfile(DATASETS / f'{name}.py')


def pipeline(steps):
    return Compose([TRANSFORMS.build(step) for step in steps])


def mmpretrain(inputs, **data_preprocessor):
    """What the classifier's data preprocessor makes of packed inputs."""
    module = MODELS.build(
        dict(type='ClsDataPreprocessor', **data_preprocessor))
    return module(dict(inputs=torch.stack(inputs)))['inputs'].numpy()


def random_image(*shape, seed=0):
    """Noise on a slope, so that all values and fine detail occur."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 200, math.prod(shape)).reshape(shape)
    return (slope + rng.integers(0, 56, shape)).astype(np.uint8)


def save_image(path, size, mode='RGB'):
    image = Image.fromarray(random_image(*size, 3)).convert(mode)
    image.save(path)
    return str(path)


@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('size', SIZES)
def test_imagenet(tmp_path, size, mode):
    """Equal pixels; equal numbers after the normalisation."""
    cfg = dataset('imagenet_bs32')
    path = save_image(tmp_path / 'a.png', size, mode)
    inputs = pipeline(cfg.test_pipeline)(dict(img_path=path))['inputs']
    preprocess = Preprocessing(
        resize=Resize(mode='short', size=256), crop=(224, 224), **IMAGENET)
    image = read_image(path)
    pixels = preprocess.pixels(image)
    assert np.array_equal(pixels.transpose(2, 0, 1), inputs.numpy()[::-1])
    expected = mmpretrain([inputs], **cfg.data_preprocessor)
    assert expected.shape == (1, 3, *preprocess.output_size)
    x = preprocess(image)
    assert x.dtype == np.float32
    assert np.array_equal(x, expected)
    if mode == 'L':
        grey = np.asarray(Image.open(path))
        for same in (grey, grey[:, :, None]):
            assert np.array_equal(preprocess(same), x)


def test_fashion_mnist():
    cfg = dataset('fashion_mnist_bs128')
    images = [random_image(28, 28, seed=i) for i in range(4)]
    steps = pipeline(cfg.test_pipeline)
    inputs = [steps(dict(img=image))['inputs'] for image in images]
    expected = mmpretrain(inputs, **cfg.data_preprocessor)
    preprocess = Preprocessing(
        pad=(2, 2, 2, 2), mean=(72.94, ), std=(90.02, ), channels='gray')
    assert preprocess.output_size is None
    for given in (images, np.stack(images)[..., None]):
        assert np.array_equal(preprocess(given), expected)
    pixels = [preprocess.pixels(image).transpose(2, 0, 1) for image in images]
    assert np.array_equal(pixels, torch.stack(inputs).numpy())


@pytest.mark.parametrize('crop', [(1, 1), (2, 3), (5, 4), (8, 9), (6, 6)])
@pytest.mark.parametrize('short', [None, 4, 5, 7])
def test_every_rounding_of_resize_and_crop(crop, short):
    """Also where the crop is larger than the image."""
    steps = [dict(type='CenterCrop', crop_size=crop[::-1])]
    if short is not None:
        steps.insert(
            0,
            dict(
                type='ResizeEdge', scale=short, edge='short',
                backend='pillow'))
    steps = pipeline(steps)
    resize = short and Resize(mode='short', size=short)
    preprocess = Preprocessing(resize=resize, crop=crop, **IMAGENET)
    for size in np.ndindex(8, 9):
        image = random_image(size[0] + 1, size[1] + 1, 3)
        expected = steps(dict(img=image))['img']
        assert np.array_equal(preprocess.pixels(image), expected)


@pytest.mark.parametrize('channels,to_rgb', [('rgb', True), ('bgr', False)])
def test_channel_order(channels, to_rgb):
    """Mean and std are in the order of the network's input."""
    image = random_image(5, 4, 3)
    bgr = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    expected = mmpretrain([bgr], to_rgb=to_rgb, **IMAGENET)
    preprocess = Preprocessing(channels=channels, **IMAGENET)
    assert np.array_equal(preprocess(image), expected)


def test_no_normalisation():
    """MMPretrain's mean=None: mean 0 and std 1 change nothing."""
    image = random_image(5, 4, 3)
    bgr = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    preprocess = Preprocessing(mean=(0, ) * 3, std=(1, ) * 3)
    assert np.array_equal(preprocess(image), mmpretrain([bgr], to_rgb=True))


def test_padding_is_left_top_right_bottom():
    preprocess = Preprocessing(
        crop=(2, 2), pad=(1, 2, 3, 4), mean=(0, ), std=(1, ), channels='gray')
    x = preprocess(np.full((2, 2), 9, np.uint8))
    expected = np.zeros((1, 1, *preprocess.output_size))
    expected[:, :, 2:4, 1:3] = 9
    assert x.shape == (1, 1, 8, 6) and np.array_equal(x, expected)


def test_rgb_for_a_grey_network(tmp_path):
    """As MMCV reads a colour file with color_type='grayscale'."""
    path = save_image(tmp_path / 'a.png', (9, 13))
    load = TRANSFORMS.build(dict(type='LoadImage', color_type='grayscale'))
    expected = load(dict(img_path=path))['img']
    preprocess = Preprocessing(mean=(0, ), std=(1, ), channels='gray')
    assert np.array_equal(preprocess(read_image(path))[0, 0], expected)


def test_lists_and_strides():
    preprocess = Preprocessing(
        resize=Resize(mode='short', size=8), crop=(7, 7), **IMAGENET)
    images = [
        random_image(9, 13, 3),
        random_image(30, 10)[::-1, ::2],
        random_image(3, 9, 13).transpose(1, 2, 0),
        random_image(40, 8, 1),
    ]
    x = preprocess(images)
    assert x.shape == (4, 3, 7, 7) and x.flags.c_contiguous
    for row, image in zip(x, images):
        assert np.array_equal(preprocess(image.copy())[0], row)
        assert np.array_equal(preprocess([image])[0], row)


# name, mode, options of Image.save
FILES = [
    ('a.png', 'RGB', {}),
    ('a.png', 'RGBA', {}),
    ('a.png', 'L', {}),
    ('a.png', 'LA', {}),
    ('a.png', 'P', {}),
    ('a.png', '1', {}),
    ('a.png', 'I;16', {}),
    ('a.tif', 'I;16', {}),
    ('a.tif', 'CMYK', {}),
    ('a.jpg', 'L', {}),
    ('a.jpg', 'CMYK', {}),
    ('a.jpg', 'YCbCr', {}),
    ('a.gif', 'P', dict(transparency=3)),
    ('a.webp', 'RGBA', {}),
    *(('a.jpg', 'RGB', dict(orientation=i)) for i in range(10)),
    ('a.png', 'RGB', dict(orientation=6)),
]


@pytest.mark.parametrize('name,mode,options', FILES)
def test_files_are_read_as_in_training(tmp_path, name, mode, options):
    path = str(tmp_path / name)
    if mode == 'I;16':
        pixels = np.arange(0, 65536, 560, dtype=np.uint16)[:9 * 13]
        image = Image.fromarray(pixels.reshape(9, 13))
    else:
        image = Image.fromarray(random_image(9, 13, 4))
        image = image.convert('RGBA' if 'A' in mode else 'RGB').convert(mode)
    if 'orientation' in options:
        exif = image.getexif()
        exif[0x0112] = options['orientation']
        options = dict(exif=exif)
    image.save(path, **options)
    expected = TRANSFORMS.build(dict(type='LoadImage'))(dict(img_path=path))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, expected['img'][:, :, ::-1])
    assert pixels.std() > 10


@pytest.mark.parametrize('how', ['missing', 'empty', 'text', 'truncated'])
def test_bad_files_are_named(tmp_path, how):
    path = tmp_path / 'a.jpg'
    if how == 'truncated':
        save_image(path, (64, 64))
        path.write_bytes(path.read_bytes()[:-200])
    elif how != 'missing':
        path.write_bytes(dict(empty=b'', text=b'<html>404</html>')[how])
    with pytest.raises(ValueError, match=f'Cannot read the image {path}'):
        read_image(path)
    with pytest.raises(CorruptImageError):
        TRANSFORMS.build(dict(type='LoadImage'))(dict(img_path=str(path)))


@pytest.mark.parametrize('images,message', [
    ([], 'There are no images'),
    (np.zeros((0, 4, 4, 3), np.uint8), 'There are no images'),
    ([np.zeros((4, 4, 3), np.uint8),
      np.zeros((4, 5, 3), np.uint8)], 'sizes: [(4, 4), (4, 5)]'),
    (np.zeros((4, 4, 3), np.float32), 'must be a uint8 array, not float32'),
    (np.zeros((1, 4, 4, 3), np.int64), 'must be a uint8 array, not int64'),
    (np.zeros((4, 4, 3), bool), 'must be a uint8 array, not bool'),
    ([[1, 2]], 'Cannot read the image [1, 2] (TypeError: an image is a path'),
    (5, 'Images are paths, bytes, open files'),
    (np.zeros((4, 4, 4), np.uint8), 'grey, not (4, 4, 4)'),
    (np.zeros((3, 4, 4), np.uint8), 'grey, not (3, 4, 4)'),
    (np.zeros((4, ), np.uint8), 'grey, not (4,)'),
    (np.zeros((), np.uint8), 'grey, not ()'),
    (np.zeros((1, 1, 4, 4, 3), np.uint8), 'grey, not (1, 1, 4, 4, 3)'),
    (np.zeros((0, 4, 3), np.uint8), 'grey, not (0, 4, 3)'),
    (np.zeros((4, 0), np.uint8), 'grey, not (4, 0)'),
])
def test_bad_images(images, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Preprocessing(**IMAGENET)(images)


@pytest.mark.parametrize('change', [
    dict(resize=256),
    dict(resize=dict(mode='short', size=256)),
    dict(decoder='cv2'),
    dict(decoder=None),
    dict(crop=224),
    dict(crop=(224, )),
    dict(crop=(0, 224)),
    dict(crop=[224, 224]),
    dict(pad=2),
    dict(pad=(2, 2)),
    dict(pad=(2, 2, 2, -2)),
    dict(pad=(0, 0, 0, 1 << 20)),
    dict(pad=None),
    dict(mean=(0, 0)),
    dict(mean=0),
    dict(mean=(0, 0, math.nan)),
    dict(mean=(0, 0, '1')),
    dict(std=(1, 1)),
    dict(std=(1, 1, 0)),
    dict(std=(1, 1, -1)),
    dict(std=(1, 1, math.inf)),
    dict(channels='RGB'),
    dict(channels='gray'),
    dict(channels=None),
])
def test_bad_settings(change):
    name = 'mean' if change == dict(channels='gray') else next(iter(change))
    with pytest.raises(ValueError, match=name):
        Preprocessing(**{**IMAGENET, **change})


@pytest.mark.parametrize(
    'name,mode,options',
    [f for f in FILES if f[0] != 'a.gif' and f[1] != 'LA'])
def test_opencv_reads_as_in_training(tmp_path, name, mode, options):
    """LoadImageFromFile, MMPretrain's default; 16 bits are shifted there."""
    path = str(tmp_path / name)
    if mode == 'I;16':
        values = np.arange(0, 65536, 560, dtype=np.uint16)[:9 * 13]
        image = Image.fromarray(values.reshape(9, 13))
    else:
        image = Image.fromarray(random_image(
            9, 13, 4)).convert('RGBA' if 'A' in mode else 'RGB').convert(mode)
    if 'orientation' in options:
        exif = image.getexif()
        exif[0x0112] = options['orientation']
        options = dict(exif=exif)
    image.save(path, **options)
    load = TRANSFORMS.build(dict(type='LoadImageFromFile'))
    expected = load(dict(img_path=path))['img'][:, :, ::-1]
    pixels = read_image(path, 'opencv')
    assert np.array_equal(pixels, expected) and pixels.std() > 10
    if mode == 'I;16':
        assert np.array_equal(pixels[:, :, 0], values.reshape(9, 13) >> 8)


def test_opencv_that_is_not_there(tmp_path, monkeypatch):
    path = save_image(tmp_path / 'a.png', (9, 13))
    monkeypatch.setitem(sys.modules, 'cv2', None)
    resize = Resize(mode='short', size=8, library='opencv')
    for prepare in (Preprocessing(decoder='opencv', **IMAGENET),
                    Preprocessing(resize=resize, **IMAGENET)):
        with pytest.raises(ValueError, match=r'install "mmreact\[opencv\]"'):
            prepare(path)


@pytest.mark.parametrize('mode,size', [
    *((mode, 24) for mode in ('short', 'long', 'width', 'height')),
    *((mode, (20, 28)) for mode in ('fit', 'stretch')),
])
@pytest.mark.parametrize('library', FILTERS)
def test_every_mode_and_filter(mode, size, library):
    """The same pixels as MMPretrain's ResizeEdge and Resize, then a crop."""
    options = dict(backend='cv2' if library == 'opencv' else library)
    if isinstance(size, int):
        options.update(type='ResizeEdge', scale=size, edge=mode)
    else:
        options.update(
            type='Resize', scale=size[::-1], keep_ratio=mode == 'fit')
    for filter in FILTERS[library]:
        steps = pipeline([
            dict(options, interpolation=filter),
            dict(type='CenterCrop', crop_size=(18, 16))
        ])
        preprocess = Preprocessing(
            resize=Resize(
                mode=mode, size=size, filter=filter, library=library),
            crop=(16, 18),
            **IMAGENET)
        for shape in ((20, 28), (21, 37), (64, 47), (90, 31), (9, 12)):
            image = random_image(*shape, 3)
            expected = steps(dict(img=image))['img']
            assert np.array_equal(preprocess.pixels(image),
                                  expected), (filter, shape)
