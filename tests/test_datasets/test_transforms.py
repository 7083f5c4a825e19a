"""Seeding per sample, and images that cannot be read."""
import random

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmreact.datasets.transforms import (CorruptImageError, LoadImage,
                                         SeedAugmentation)


class Draws(Dataset):
    """Each item is what the transforms behind SeedAugmentation draw."""

    def __init__(self, length=7):
        self.seed = SeedAugmentation()
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        results = self.seed(dict(sample_idx=index, kept='x'))
        assert results == dict(sample_idx=index, kept='x')
        numbers = [random.random(), np.random.rand(), torch.rand(1).item()]
        return index, torch.tensor(numbers, dtype=torch.float64)


def draw(epochs=((3, 0), (3, 1)), workers=0, order=None, persistent=False):
    """The draws of the samples in each epoch, by sample."""
    data = Draws()
    loader = DataLoader(
        data,
        batch_size=2,
        sampler=order,
        num_workers=workers,
        persistent_workers=persistent)
    result = []
    for seed, epoch in epochs:
        data.seed.set_epoch(seed, epoch)
        rows = {}
        for indices, numbers in loader:
            rows.update(zip(indices.tolist(), numbers.tolist()))
        result.append([rows[i] for i in sorted(rows)])
    return result


@pytest.mark.parametrize('options', [
    dict(order=[6, 1, 0, 5, 2, 3, 4]),
    dict(workers=1),
    dict(workers=2),
    dict(workers=2, persistent=True),
    dict(workers=2, persistent=True, order=[3, 4, 6, 0, 1, 5, 2]),
])
def test_workers_and_order_do_not_matter(options):
    expected = draw()
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    assert draw(**options) == expected


def test_resumed_epochs_are_the_same():
    epochs = [(3, 0), (3, 1), (3, 2)]
    assert draw(epochs[2:]) == draw(epochs)[2:]


def test_numbers_differ():
    """Across samples, epochs, seeds and generators."""
    epochs = [(3, 0), (3, 1), (4, 0), (0, 3), (1, 3), (2**31, 10**6)]
    numbers = np.array(draw(epochs)).ravel()
    assert len(numbers) == len(epochs) * 7 * 3
    assert len(set(numbers.tolist())) == len(numbers)
    assert 0.4 < numbers.mean() < 0.6


def test_is_registered_and_in_a_pipeline():
    pipeline = Compose([
        TRANSFORMS.build(dict(type='SeedAugmentation')),
        TRANSFORMS.build(dict(type='RandomFlip', prob=0.5))
    ])
    image = np.arange(6, dtype=np.uint8).reshape(1, 6, 1)
    flips = []
    for seeded in (False, True, True):
        if seeded:
            pipeline.transforms[0].set_epoch(0, 0)
        outs = [pipeline(dict(img=image, sample_idx=i)) for i in range(64)]
        flips.append([out['flip'] for out in outs])
    # Without a seed it changes nothing: other draws each time.
    assert flips[0] != flips[1] and flips[1] == flips[2]
    assert 16 < sum(flips[1]) < 48


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize('name,mode,options', [
    ('a.jpg', 'RGB', dict(quality=60)),
    ('a.jpeg', 'L', {}),
    ('a.jpg', 'CMYK', {}),
    ('a.png', 'RGB', {}),
    ('a.png', 'P', {}),
])
def test_pixels_are_pillows(tmp_path, image, name, mode, options):
    path = str(tmp_path / name)
    image.convert(mode).save(path, **options)
    results = TRANSFORMS.build(dict(type='LoadImage'))(dict(img_path=path))
    expected = np.asarray(Image.open(path).convert('RGB'))
    assert results['img'].dtype == np.uint8
    assert np.array_equal(results['img'][..., ::-1], expected)
    assert results['img_shape'] == results['ori_shape'] == (9, 13)


def break_file(path, how):
    if how == 'missing':
        path.unlink()
    elif how == 'truncated':
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes(dict(empty=b'', text=b'<html>404</html>')[how])


@pytest.mark.parametrize('options,how', [
    ({}, 'missing'),
    ({}, 'empty'),
    ({}, 'text'),
    ({}, 'truncated'),
    (dict(imdecode_backend='cv2'), 'missing'),
    (dict(imdecode_backend='cv2'), 'empty'),
    (dict(imdecode_backend='cv2'), 'text'),
])
@pytest.mark.parametrize('name', ['bad one.jpg', 'bad one.png'])
def test_bad_files_are_named(tmp_path, image, name, how, options):
    path = tmp_path / name
    image.resize((64, 64)).save(path)
    load = LoadImage(**options)
    load(dict(img_path=str(path)))
    break_file(path, how)
    with pytest.raises(CorruptImageError) as error:
        load(dict(img_path=str(path)))
    assert str(path) in str(error.value)
    assert '--resume' in str(error.value)
    assert error.value.__cause__ is not None


def test_image_without_a_path_is_left_alone():
    """MMPretrain's inferencers decode first and run the whole pipeline."""
    img = np.zeros((2, 3, 3), np.uint8)
    assert LoadImage()(dict(img=img))['img'] is img
