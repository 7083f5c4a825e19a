"""Every network of the configs, and their ablations, packed."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

import mmreact.models  # noqa: F401, registers
from mmreact.engine.stages.checks import get_num_classes
from mmreact.export import lower, verify
from mmreact.packed import ops
from mmreact.packed.reference import ReferenceBackend

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {
    path.stem: path
    for path in sorted((ROOT / 'configs').rglob('*.py'))
    if '_base_' not in path.parts
}
SMALL = [name for name in CONFIGS if 'fashion-mnist' in name]
#: Without those that differ from another one in the training only.
LARGE = [
    name for name in CONFIGS
    if 'in1k' in name and '-120e' not in name and '-256e' not in name
]

#: Those that the engines run too: the last stages, and one of the eight VGG,
#: which take long and have the same operations.
LAST = [
    name for name in LARGE if '-stage' not in name and (
        not name.startswith('vgg') or name.startswith('vgg11bn'))
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def input_shape(cfg):
    """As small as the network allows."""
    channels = len(cfg.data_preprocessor.mean)
    if cfg.train_dataloader.dataset.type in ('FashionMNIST', 'CIFAR10'):
        return channels, 32, 32
    fixed = not cfg.model.get('neck') or (cfg.model.backbone.get('scale')
                                          == 'learned')
    return channels, *[224 if fixed else 64] * 2


def check(model, shape, classes, images, number=2):
    """Verify, and compare logits and features with those of the model."""
    program = lower(model, shape)
    x = images(number, *shape)
    report = verify(model, program, x)
    assert report.ok, report.table()
    assert report.images == number
    one_bit = [
        m for m in model.modules() if getattr(m, 'one_bit_weight', False)
    ]
    packed = [
        op for op in program.operations
        if isinstance(op, (ops.BinaryConv2d, ops.BinaryLinear))
    ]
    assert len(packed) == len(one_bit)
    with torch.no_grad():
        features = model.extract_feat(x, stage='backbone')
    assert len(program.features) == len(features)
    found = ReferenceBackend(program).run(x.numpy(), program.features)
    for name, feature in zip(program.features, features):
        assert found[name].shape == feature.shape
    assert program.infer(shape)[program.output].shape == (1, classes)


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=[] if name in SMALL else pytest.mark.slow)
    for name in [*SMALL, *LARGE]
])
def test_config(name, randomize, images):
    cfg = Config.fromfile(CONFIGS[name])
    torch.manual_seed(0)
    model = randomize(MODELS.build(cfg.model))
    shape = input_shape(cfg)
    classes = get_num_classes(cfg.model)
    check(model, shape, classes, images, 1 if shape[1] > 64 else 2)


#: Options of ReActNet's ablations, and of networks that no config has.
ABLATIONS = [
    dict(rsign=False, activation='none'),
    dict(rsign=False, activation='prelu'),
    dict(activation='none'),
    dict(rsign=False),
    dict(weight_binarizer='sign'),
    dict(weight_binarizer='real'),
    dict(expansion='conv'),
    dict(expansion='conv', expansion_groups=4),
    dict(expansion_groups=2),
    dict(expansion_groups=1, expansion_input='real'),
    dict(activation_binarizer='tanh'),
    dict(activation_binarizer='real', weight_binarizer='real'),
    dict(out_indices=(0, 1)),
    dict(arch=[(6, 1), (12, 2), (12, 1)], stem_channels=3),
    dict(arch=[(37, 1), (74, 2)], stem_channels=37, stem_stride=1),
]


@pytest.mark.parametrize('options', ABLATIONS)
def test_ablations(options, randomize, images):
    cfg = Config.fromfile(CONFIGS['reactnet-small_1xb128_fashion-mnist']).model
    cfg.backbone.update(options)
    if 'arch' in options:
        cfg.head.in_channels = options['arch'][-1][0]
    if 'out_indices' in options:
        cfg.head.in_channels = 64
    torch.manual_seed(0)
    check(randomize(MODELS.build(cfg)), (1, 17, 21), 10, images)


#: Backbones with options that no config has.
BACKBONES = [
    dict(
        type='XNORResNet',
        base_channels=5,
        small_input=True,
        activation_scale=True),
    dict(type='BNNResNet', base_channels=6, small_input=True),
    dict(type='RealToBinaryNet', base_channels=8, scale='none'),
    dict(type='RealToBinaryNet', base_channels=8, activation_binarizer='real'),
    dict(
        type='RealToBinaryNet',
        base_channels=8,
        scale='learned',
        input_size=(33, 41)),
    dict(
        type='BiRealNet',
        depth=50,
        base_channels=4,
        first_block='sign',
        style='caffe'),
    dict(type='ReActResNet', base_channels=6, small_input=True),
    dict(
        type='MeliusNet',
        arch=dict(blocks=(1, 2), widths=(24, )),
        stem_channels=16,
        growth=9),
    dict(
        type='BNext',
        arch=[(8, 1), (16, 2), (16, 1)],
        stem_channels=8,
        recoupling=False),
    dict(
        type='BNext',
        arch=[(8, 1), (16, 2), (16, 1)],
        stem_channels=8,
        attention=False),
]


@pytest.mark.parametrize('options', BACKBONES, ids=lambda o: o['type'])
def test_backbones(options, randomize, images):
    """A backbone alone: its maps are the features, the last the output."""
    torch.manual_seed(0)
    model = randomize(MODELS.build(dict(options, out_indices=(0, -1))))
    x = images(2, 3, 33, 41)
    program = lower(model, (3, 33, 41))
    assert len(program.features) == 2
    assert program.output == program.features[1]
    report = verify(model, program, x)
    assert report.ok, report.table()
