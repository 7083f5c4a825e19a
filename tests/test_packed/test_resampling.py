"""Regions of resized images against Pillow's whole ones, pixel by pixel."""
import re

import numpy as np
import pytest
from PIL import Image

from mmreact.packed import Preprocessing, Resize
from mmreact.packed.resampling import KERNELS, resize_region
from mmreact.packed.resizing import MAX_ENLARGED

NORMAL = dict(mean=(0., ) * 3, std=(1., ) * 3)


def random_image(width, height, mode, seed=0):
    shape = (height, width) + (3, ) * (mode == 'RGB')
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(pixels)


def edges(rng, length):
    first = rng.integers(0, length)
    return first, rng.integers(first, length) + 1


@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('filter', KERNELS)
def test_pixels_are_pillows(filter, mode):
    """Of images that are enlarged, as they are when a region is computed."""
    rng = np.random.default_rng(0)
    for i in range(150):
        width, height = rng.choice([1, 2, 3, 5, 7, 16, 17, 31, 60, 200], 2)
        size = rng.integers(width, 500), rng.integers(height, 500)
        (left, right), (top, bottom) = (edges(rng, n) for n in size)
        region = tuple(map(int, (left, top, right, bottom)))
        image = random_image(width, height, mode, i)
        size = tuple(map(int, size))
        whole = image.resize(size, Image.Resampling[filter.upper()])
        part = resize_region(image, size, region, filter)
        assert part.mode == mode
        assert np.array_equal(part, whole.crop(region)), (image.size, size)


@pytest.mark.parametrize('filter', KERNELS)
@pytest.mark.parametrize('size', [(300, 2), (2, 301), (97, 1), (1, 500),
                                  (3, 640), (1200, 16)])
def test_the_crop_of_a_long_image(size, filter):
    """The same as resizing the whole image and cropping it."""
    resize = Resize(mode='short', size=32, filter=filter)
    image = random_image(*size, 'RGB')
    whole = image.resize(
        resize.resized(size), Image.Resampling[filter.upper()])
    left, top = (round((n - 28) / 2) for n in whole.size)
    expected = whole.crop((left, top, left + 28, top + 28))
    assert whole.width * whole.height > 4 * 28 * 28
    assert np.array_equal(resize(image, (28, 28)), expected)


@pytest.mark.slow
@pytest.mark.parametrize('size', [(60000, 1), (1, 60000), (8000, 1),
                                  (16000, 3), (1000000, 1), (65500, 5)])
def test_small_files_of_long_images_cost_little(size, tmp_path, peak_memory):
    """A file of a hundred bytes needed 13 GB."""
    path = tmp_path / 'line.png'
    Image.new('1', size).save(path)
    assert path.stat().st_size < 50_000
    used = peak_memory(
        'from mmreact.packed import Preprocessing, Resize\n'
        'prepare = Preprocessing(resize=Resize(mode="short", size=256),'
        ' crop=(224, 224), mean=(0.,) * 3, std=(1.,) * 3)',
        f'assert prepare({str(path)!r}).shape == (1, 3, 224, 224)')
    assert used < 100e6


@pytest.mark.parametrize('resize,size', [
    (Resize(mode='short', size=256), (60000, 1)),
    (Resize(mode='short', size=256), (1, 8000)),
    (Resize(mode='width', size=500), (1, 30000)),
    (Resize(mode='height', size=16384), (30, 1)),
    (Resize(mode='cover', size=(224, 224)), (100000, 1)),
    (Resize(mode='long', size=28), (60, 1)),
    (Resize(mode='fit', size=(28, 28)), (2, 300)),
    (Resize(mode='stretch', size=(224, 224)), (1, 1000000)),
    (Resize(mode='stretch', size=(16384, 16384)), (3, 3)),
    (Resize(mode='short', size=256, library='opencv'), (60000, 1)),
])
def test_absurd_shapes_are_refused(resize, size):
    """In words, where all of the resized image would be kept."""
    words = f'An image of {size[0]}x{size[1]} pixels would be resized to '
    with pytest.raises(ValueError, match=words):
        Preprocessing(resize=resize, **NORMAL)(random_image(*size, 'RGB'))


@pytest.mark.parametrize('options', [
    dict(filter='nearest'),
    dict(library='opencv'),
    dict(library='opencv', filter='area'),
])
def test_what_is_not_computed_in_part_is_refused(options):
    resize = Resize(mode='short', size=256, **options)
    prepare = Preprocessing(resize=resize, crop=(224, 224), **NORMAL)
    assert prepare(random_image(2000, 100, 'RGB')).shape == (1, 3, 224, 224)
    with pytest.raises(ValueError, match='resized to 15360000x256'):
        prepare(random_image(60000, 1, 'RGB'))


def test_an_image_that_stays_as_it_is_has_a_limit():
    prepare = Preprocessing(
        mean=(0., ), std=(1., ), channels='gray', pad=(1, 1, 1, 1))
    assert prepare(Image.new('L', (3000, 30))).shape == (1, 1, 32, 3002)
    with pytest.raises(ValueError, match=re.escape(f'{MAX_ENLARGED:,}')):
        prepare(Image.new('L', (4097, 4096)))
