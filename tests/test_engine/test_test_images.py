"""What is known of a config's test images, with and without the data set."""
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

import mmreact.models  # noqa: F401, registers
from mmreact.engine.test_images import (image_preprocessing, input_size,
                                        note_on_sizes)
from mmreact.export import LoweringError
from mmreact.packed import Preprocessing, Resize

BASES = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'
LOAD, PACK = dict(type='LoadImage'), dict(type='PackInputs')


def base(name):
    cfg = Config.fromfile(BASES / f'{name}.py')
    cfg.model = dict(type='ImageClassifier', backbone=dict())
    return cfg


def folder(tmp_path, *sizes, pipeline=(LOAD, PACK)):
    """A config of image files in class folders, with these test images."""
    cfg = base('custom_bs32')
    dataset = cfg.test_dataloader.dataset
    dataset.update(data_root=str(tmp_path), pipeline=list(pipeline))
    (tmp_path / 'val/class').mkdir(parents=True)
    for i, size in enumerate(sizes):
        Image.new('RGB', size).save(tmp_path / f'val/class/{i:02}.png')
    return cfg


@pytest.mark.parametrize('size', [(32, 32), (31, 57), (400, 300), (1, 9),
                                  (5, 200)])
def test_photographs_of_one_size(size):
    """Covered and cropped, as all of CIFAR; its own images stay equal."""
    made = image_preprocessing(base('cifar10_bs256'))
    assert made.resize == Resize(mode='cover', size=(32, 32), filter='lanczos')
    image = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3),
                                              np.uint8)
    pixels = made.pixels(image)
    assert pixels.shape == (32, 32, 3)
    if size == (32, 32):
        assert np.array_equal(pixels, image)
    width, height = size
    scale = 32 / min(size)
    whole = Image.fromarray(image).resize(
        (max(32, int(width * scale + .5)), max(32, int(height * scale + .5))),
        Image.Resampling.LANCZOS)
    left, top = (round((n - 32) / 2) for n in whole.size)
    assert np.array_equal(pixels, whole.crop((left, top, left + 32, top + 32)))


@pytest.mark.parametrize('size', [(28, 28), (40, 40), (28, 70), (300, 200)])
def test_objects_on_black(size):
    """An object has one size in the result, wherever it is in the image."""
    made = image_preprocessing(base('fashion_mnist_bs128'))
    shape = np.zeros((28, 28), np.uint8)
    shape[:, 6:22] = 200
    canvas = Image.new('L', size)
    edge = min(size)
    canvas.paste(
        Image.fromarray(shape).resize((edge, edge)), (size[0] - edge, 0))
    pixels = made.pixels(np.array(canvas))[..., 0]
    assert pixels.shape == (32, 32)
    bright = Image.fromarray(255 * (pixels > 100).astype(np.uint8)).getbbox()
    assert np.abs(np.array(bright) - (8, 2, 24, 30)).max() <= 1
    if size == (28, 28):
        assert np.array_equal(pixels, np.pad(shape, 2))


def test_folders_of_one_size(tmp_path):
    """The images of a user's data set are looked at, if they are there."""
    cfg = folder(tmp_path, (40, 24), (40, 24), (40, 24))
    made = image_preprocessing(cfg)
    assert made.resize == Resize(mode='cover', size=(24, 40), filter='lanczos')
    assert made.output_size == input_size(cfg) == (24, 40)
    assert made.pixels(np.zeros((99, 50, 3), np.uint8)).shape == (24, 40, 3)


def test_folders_of_several_sizes(tmp_path):
    """Left as they are, as in the test pipeline."""
    cfg = folder(tmp_path, (40, 24), (41, 24))
    assert image_preprocessing(cfg).resize is None
    assert input_size(cfg) == (24, 40)
    note = note_on_sizes(image_preprocessing(cfg))
    assert 'does not resize' in note and 'as large as they are' in note


def test_a_crop_without_resizing(tmp_path):
    crop = dict(type='CenterCrop', crop_size=20)
    cfg = folder(tmp_path, (40, 24), pipeline=(LOAD, crop, PACK))
    made = image_preprocessing(cfg)
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    assert made.resize.size == (24, 40) and not note_on_sizes(made)
    assert np.array_equal(made.pixels(image), image[2:22, 10:30])
    cfg.test_dataloader.dataset.data_root = '/nowhere'
    made = image_preprocessing(cfg)
    assert made.resize is None and 'the middle only' in note_on_sizes(made)
    assert input_size(cfg) == (20, 20)


@pytest.mark.parametrize('name,size', [
    ('imagenet_bs32', 224),
    ('imagenet_bs32_crop', 224),
    ('custom_bs32', 224),
    ('cifar10_bs256', 32),
    ('fashion_mnist_bs128', 32),
])
def test_sizes_of_our_pipelines(name, size):
    """None of the data sets is there."""
    cfg = base(name)
    cfg.test_dataloader.dataset.data_root = '/nowhere'
    assert input_size(cfg) == (size, size)


@pytest.mark.parametrize('pipeline,size', [
    ([LOAD, dict(type='EfficientNetCenterCrop', crop_size=240)], 240),
    ([LOAD, dict(type='torchvision/Resize', size=[99, 99])], 99),
    ([LOAD, dict(type='Resize', scale=(64, 64)),
      dict(type='Pad')], 64),
    ([LOAD, dict(type='Resize', scale=64),
      dict(type='A'), PACK], 64),
])
def test_sizes_of_foreign_pipelines(pipeline, size):
    """Without the data set, and although they cannot be packed."""
    cfg = base('imagenet_bs32')
    cfg.test_dataloader.dataset.pipeline = pipeline
    with pytest.raises(LoweringError):
        image_preprocessing(cfg)
    assert input_size(cfg) == (size, size)


@pytest.mark.parametrize('pipeline', [
    [LOAD, PACK],
    [LOAD, dict(type='ResizeEdge', scale=40),
     dict(type='Unknown')],
    [LOAD, dict(type='ResizeEdge', scale=40), PACK],
    [LOAD, dict(type='Crop', crop_size=(20, 30)), PACK],
])
def test_a_size_that_is_not_known(pipeline):
    cfg = base('imagenet_bs32')
    cfg.test_dataloader.dataset.update(pipeline=pipeline, data_root='/nowhere')
    with pytest.raises(LoweringError, match='/nowhere .*--shape HEIGHT WIDTH'):
        input_size(cfg)


def test_the_size_that_the_user_says():
    cfg = base('custom_bs32')
    cfg.test_dataloader.dataset.update(
        pipeline=[LOAD, PACK], data_root='/nowhere')
    made = image_preprocessing(cfg, (48, 40))
    assert made == Preprocessing(
        resize=Resize(mode='cover', size=(48, 40), filter='lanczos'),
        crop=(48, 40),
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375))
