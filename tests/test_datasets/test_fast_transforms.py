"""FastLoadImage and FastRandomResizedCrop: Pillow's pixels, or its errors."""
import io
import re
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpretrain.datasets.transforms import RandomResizedCrop
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from mmreact.datasets.transforms import (CorruptImageError, FastLoadImage,
                                         FastRandomResizedCrop, LoadImage)
from mmreact.datasets.transforms.fast import is_plain_jpeg

ROOT = Path(__file__).resolve().parents[2]


def smooth(height, width, seed=0):
    """A random image whose neighbouring pixels are alike, as photographs'."""
    pixels = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.BICUBIC)


def rotated(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return dict(exif=exif)


#: Format, mode, options of saving -> whether OpenCV decodes it.
FILES = {
    'baseline': ('JPEG', 'RGB', dict(quality=96, subsampling=0), True),
    'subsampled': ('JPEG', 'RGB', dict(quality=75, subsampling=2), True),
    'progressive': ('JPEG', 'RGB', dict(progressive=True), True),
    'not YCbCr': ('JPEG', 'RGB', dict(keep_rgb=True), True),
    'grey': ('JPEG', 'L', {}, True),
    'turned': ('JPEG', 'RGB', rotated(6), True),
    'mirrored': ('JPEG', 'RGB', rotated(2), True),
    'CMYK': ('JPEG', 'CMYK', {}, False),
    'PNG': ('PNG', 'RGB', {}, False),
    'palette': ('PNG', 'P', {}, False),
}


@pytest.mark.parametrize('size', [(45, 61), (1, 1), (16, 8)])
@pytest.mark.parametrize('name', FILES)
def test_decodes_to_pillows_pixels(tmp_path, name, size):
    kind, mode, options, plain = FILES[name]
    path = tmp_path / 'image.JPEG'
    smooth(*size).convert(mode).save(path, kind, **options)
    assert is_plain_jpeg(path.read_bytes()) == plain
    found, expected = (
        load(dict(img_path=str(path), kept=1))
        for load in (FastLoadImage(), LoadImage()))
    assert np.array_equal(found.pop('img'), expected.pop('img'))
    assert found == expected


@pytest.mark.parametrize('lost', [1, 2, 200, 'all', 'file'])
def test_bad_files_are_pillows(tmp_path, lost):
    """The same message, which names the file, whatever OpenCV would do."""
    path = tmp_path / 'bad one.jpg'
    smooth(64, 64).save(path)
    if lost == 'file':
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(data[:-lost] if lost != 'all' else b'')
    messages = []
    for load in (FastLoadImage(), LoadImage()):
        with pytest.raises(CorruptImageError) as error:
            load(dict(img_path=str(path)))
        messages.append(re.sub(' object at 0x[0-9a-f]+', '', str(error.value)))
    assert messages[0] == messages[1] and str(path) in messages[0]


def test_plain_header_and_nothing_that_opencv_decodes(tmp_path):
    """What looks whole and is not: Pillow has the last word."""
    data = io.BytesIO()
    smooth(64, 64).save(data, 'JPEG')
    path = tmp_path / 'a.jpg'
    path.write_bytes(data.getvalue()[:-300] + b'\xff\xd9')
    try:
        expected = LoadImage()(dict(img_path=str(path)))['img']
    except CorruptImageError:
        with pytest.raises(CorruptImageError):
            FastLoadImage()(dict(img_path=str(path)))
    else:
        found = FastLoadImage()(dict(img_path=str(path)))['img']
        assert np.array_equal(found, expected)


def test_image_without_a_path_is_left_alone():
    image = np.zeros((2, 3, 3), np.uint8)
    assert FastLoadImage()(dict(img=image))['img'] is image


def crops(image, number=20, **options):
    """Of both transforms, with the same random numbers."""
    for seed in range(number):
        found = []
        for crop in (FastRandomResizedCrop, RandomResizedCrop):
            np.random.seed(seed)
            results = crop(backend='pillow', **options)(dict(img=image))
            assert results['img'].dtype == np.uint8
            assert results['img_shape'] == results['img'].shape
            found.append(results['img'].astype(int))
        yield found


@pytest.mark.parametrize(
    'image', [
        np.array(smooth(90, 120)),
        np.asarray(smooth(90, 120))[..., ::-1],
        np.random.default_rng(0).integers(0, 256, (80, 64, 3), np.uint8),
        np.random.default_rng(1).integers(0, 2, (70, 90, 3), np.uint8) * 255,
        np.asarray(smooth(1, 1)),
        np.asarray(smooth(3, 200)),
    ],
    ids=['smooth', 'backwards', 'noise', 'black and white', 'pixel', 'band'])
@pytest.mark.parametrize('scale', [32, 224, (7, 40)])
def test_resizes_within_rounding(image, scale):
    """Smaller and larger; noise is the worst case."""
    for found, expected in crops(image, scale=scale):
        apart = np.abs(found - expected)
        assert apart.max() <= 2
        assert apart.mean() < 0.4 and (apart > 1).mean() < 1e-3


def test_antialiases():
    """One white column in eight becomes grey, where OpenCV keeps stripes."""
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, ::8] = 240
    options = dict(
        scale=32, crop_ratio_range=(1, 1), aspect_ratio_range=(1, 1))
    results = FastRandomResizedCrop(**options)(dict(img=image))
    inner = results['img'][:, 2:-2].astype(int)
    assert abs(inner.mean() - 30) < 1 and np.ptp(inner) <= 2
    aliased = RandomResizedCrop(**options)(dict(img=image))['img'][:, 2:-2]
    assert abs(aliased.mean() - 30) > 10


@pytest.mark.parametrize('options', [
    dict(backend='cv2'),
    dict(interpolation='bicubic'),
])
def test_what_is_not_pillows_is_refused(options):
    with pytest.raises(ValueError, match='Use RandomResizedCrop'):
        FastRandomResizedCrop(32, **options)


@pytest.mark.parametrize('image', [
    np.zeros((9, 9), np.uint8),
    np.zeros((9, 9, 3), np.float32),
])
def test_wrong_images_are_refused(image):
    with pytest.raises(ValueError, match=r'\(H, W, C\) of uint8, got'):
        FastRandomResizedCrop(4)(dict(img=image))


def test_documented_option(tmp_path):
    """The options in docs/training.md give a recipe's images, nearly."""
    page = (ROOT / 'docs/training.md').read_text('utf-8')
    section = re.search(r'^## Data$.*?^## ', page, re.DOTALL | re.MULTILINE)[0]
    options = re.findall(r'(train_dataloader\.\S+=\S+)', section)
    assert len(options) == 2
    name = ROOT / 'configs/reactnet/reactnet-a_8xb32_in1k.py'
    cfgs = Config.fromfile(name), Config.fromfile(name)
    cfgs[1].merge_from_dict(
        dict(zip(*zip(*(option.split('=') for option in options)))))
    path = str(tmp_path / 'a.jpg')
    smooth(300, 400).save(path, quality=96)
    images = []
    for cfg in cfgs:
        pipeline = Compose([
            TRANSFORMS.build(step)
            for step in cfg.train_dataloader.dataset.pipeline
        ])
        pipeline.transforms[0].set_epoch(0, 3)
        images.append([
            pipeline(dict(img_path=path, sample_idx=i))['inputs'].numpy()
            for i in range(8)
        ])
    apart = np.abs(np.subtract(*np.asarray(images, int)))
    assert cfgs[0].train_dataloader != cfgs[1].train_dataloader
    assert apart.max() <= 2 and (apart > 0).mean() < 0.1
