"""Test pipelines of configs, read and run against MMPretrain's own."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from PIL import Image

import mmreact.engine  # noqa: F401, registers the transforms
from mmreact.export import LoweringError, read_preprocessing
from mmreact.packed import Preprocessing, Resize, read_image

ROOT = Path(__file__).resolve().parents[2]
BASES = sorted((ROOT / 'configs/_base_/datasets').glob('*.py'))
SHORT = Resize(mode='short', size=40)
PACK = dict(type='PackInputs')
LOAD = dict(type='LoadImage')
EDGE = dict(type='ResizeEdge', scale=40, backend='pillow')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def run_pipeline(pipeline, data_preprocessor, results):
    """What MMPretrain makes of an image."""
    for transform in pipeline:
        results = TRANSFORMS.build(transform)(results)
    model = MODELS.build(
        dict(data_preprocessor or {}, type='ClsDataPreprocessor'))
    inputs = results['inputs'][None]
    return model(dict(inputs=inputs))['inputs'].numpy()


def make_image(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize('path', BASES, ids=lambda path: path.stem)
def test_data_sets_of_the_configs(path, tmp_path):
    """The same numbers from a file, or from the array of a data set."""
    cfg = Config.fromfile(path)
    pipeline = cfg.test_dataloader.dataset.pipeline
    options = cfg.data_preprocessor
    channels = len(options.mean)
    made = read_preprocessing(pipeline, options, channels)
    if pipeline[0]['type'] == 'LoadImage':
        file = tmp_path / 'image.png'
        Image.fromarray(make_image((300, 271, 3))).save(file)
        image, results = read_image(file), dict(img_path=str(file))
    else:
        side = 28 if channels == 1 else 32
        image = make_image((side, side) + (3, ) * (channels == 3))
        results = dict(img=image)
    options = {k: v for k, v in options.items() if k != 'num_classes'}
    assert (made(image) == run_pipeline(pipeline, options, results)).all()


# pipeline, data_preprocessor, channels -> what differs from the defaults
CASES = [
    ([PACK], None, 3, dict()),
    ([LOAD, PACK], dict(to_rgb=True), 3, dict()),
    ([LOAD, PACK], dict(to_rgb=False), 3, dict(channels='bgr')),
    ([dict(type='FastLoadImage'), PACK], dict(to_rgb=True), 3, dict()),
    ([PACK], dict(to_rgb=True), 3, dict(channels='bgr')),
    ([PACK], None, 1, dict(channels='gray', mean=(0., ), std=(1., ))),
    ([PACK], dict(mean=[7], std=[2]), 3, dict(mean=(7., ) * 3,
                                              std=(2., ) * 3)),
    ([PACK], dict(mean=[1, 2, 3],
                  std=[4, 5, 6]), 3, dict(mean=(1., 2., 3.),
                                          std=(4., 5., 6.))),
    ([EDGE,
      dict(type='CenterCrop',
           crop_size=(30, 20))], None, 3, dict(resize=SHORT, crop=(20, 30))),
    *(([dict(EDGE, edge=edge, interpolation=filter)
        ], None, 3, dict(resize=Resize(mode=edge, size=40, filter=filter)))
      for edge, filter in [('long', 'bicubic'), ('width',
                                                 'nearest'), ('height', 'box'),
                           ('short', 'hamming'), ('short', 'lanczos')]),
    *(([dict(EDGE, backend='cv2', interpolation=filter)], None, 3,
       dict(
           resize=Resize(
               mode='short', size=40, filter=filter, library='opencv')))
      for filter in ('bilinear', 'bicubic', 'nearest', 'area', 'lanczos')),
    ([
        dict(type='ResizeEdge', scale=40),
        dict(type='CenterCrop', crop_size=32)
    ], None, 3,
     dict(
         resize=Resize(mode='short', size=40, library='opencv'),
         crop=(32, 32))),
    ([dict(type='Resize', scale=30, backend='pillow')], None, 3,
     dict(resize=Resize(mode='stretch', size=(30, 30)))),
    ([dict(type='Resize', scale=(30, 20), interpolation='area')], None, 3,
     dict(
         resize=Resize(
             mode='stretch', size=(20, 30), filter='area', library='opencv'))),
    ([dict(type='Resize', scale=(50, 20), keep_ratio=True,
           backend='pillow')], None, 3,
     dict(resize=Resize(mode='fit', size=(20, 50)))),
    ([dict(type='LoadImageFromFile'),
      PACK], dict(to_rgb=True), 3, dict(decoder='opencv')),
    ([dict(LOAD, imdecode_backend='cv2'),
      PACK], None, 3, dict(decoder='opencv', channels='bgr')),
    ([dict(LOAD, color_type='grayscale'),
      PACK], None, 1, dict(channels='gray', mean=(0., ), std=(1., ))),
    ([dict(type='RandomCrop', crop_size=32,
           padding=2)], None, 3, dict(crop=(28, 28), pad=(2, 2, 2, 2))),
    ([dict(type='RandomCrop', crop_size=(32, 36),
           padding=(3, 1))], None, 3, dict(crop=(30, 30), pad=(3, 1, 3, 1))),
    ([dict(type='RandomCrop', crop_size=32, padding=(1, 2, 3, 4))], None, 3,
     dict(crop=(26, 28), pad=(1, 2, 3, 4))),
    ([
        dict(type='CenterCrop', crop_size=28),
        dict(type='RandomCrop', crop_size=32, padding=2)
    ], None, 3, dict(crop=(28, 28), pad=(2, 2, 2, 2))),
]


@pytest.mark.parametrize('pipeline,options,channels,expected', CASES)
def test_options(pipeline, options, channels, expected, tmp_path):
    default = dict(mean=(0., ) * 3, std=(1., ) * 3)
    made = read_preprocessing(pipeline, options, channels)
    assert made == Preprocessing(**{**default, **expected})
    side = made.crop if any(made.pad) else (53, 47)
    image = make_image(side if channels == 1 else (*side, 3))
    results = dict(img=image)
    if 'LoadImage' in str(pipeline) or made.decoder == 'opencv':
        file = tmp_path / 'image.png'
        Image.fromarray(image).save(file)
        image, results = file, dict(img_path=str(file))
    x = run_pipeline(pipeline if PACK in pipeline else [*pipeline, PACK],
                     options, results)
    assert x.std() > 0 and (made(image) == x).all()


ERRORS = [
    ([dict(type='Pad', size=(32, 32))], None,
     ["'Pad'", 'Known: ', 'CenterCrop', 'without preprocessing']),
    ([dict(EDGE, edge='longest')], None, ['mode', "'longest'"]),
    ([dict(EDGE, interpolation='area')], None, ['ResizeEdge', "'area'"]),
    ([dict(EDGE, backend='cv2', interpolation='box')], None, ["'box'"]),
    ([dict(EDGE, backend='torch')], None, ["backend='pillow' or 'cv2'"]),
    ([dict(EDGE, scale=0)], None, ['size of the resizing is 0']),
    ([dict(type='Resize', scale_factor=.5)], None, ['one with scale']),
    ([EDGE, EDGE], None, ['one resizing, before']),
    ([EDGE, dict(type='Resize', scale=7)], None, ['one resizing, before']),
    ([dict(type='CenterCrop', crop_size=20), EDGE], None, ['before crop']),
    ([dict(type='CenterCrop', crop_size=20,
           auto_pad=True)], None, ['auto_pad']),
    ([dict(LOAD, imdecode_backend='tifffile')], None, ['imdecode_backend']),
    ([dict(LOAD, color_type='unchanged')], None, ['color_type']),
    ([dict(LOAD, color_type='grayscale')], None, ['color_type']),
    ([
        dict(type='CenterCrop', crop_size=30),
        dict(type='RandomCrop', crop_size=20)
    ], None, ['RandomCrop', 'nothing is left']),
    ([dict(type='RandomCrop', crop_size=8, padding=4)], None, ['RandomCrop']),
    ([dict(type='RandomCrop', crop_size=8, padding=1,
           pad_val=5)], None, ['zeros']),
    ([dict(type='RandomCrop', crop_size=8,
           padding_mode='edge')], None, ['zeros']),
    ([PACK], dict(pad_size_divisor=32), ['without padding']),
    ([PACK], dict(type='SelfSupDataPreprocessor'), ['ClsDataPreprocessor']),
]


@pytest.mark.parametrize('pipeline,options,words', ERRORS)
def test_what_has_no_counterpart_is_named(pipeline, options, words):
    with pytest.raises(LoweringError) as error:
        read_preprocessing(pipeline, options)
    for word in words:
        assert word in str(error.value)


def test_one_channel_of_torch_images():
    """Guards the tests above: the pipeline changes an image at all."""
    x = run_pipeline([PACK], dict(mean=[1], std=[2]),
                     dict(img=make_image((5, 4))))
    assert torch.from_numpy(x).shape == (1, 1, 5, 4) and x.std() > 1
