"""The counter against the paper's figures and counts by hand."""
import json
import random

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from mmreact.analysis import count_ops
from mmreact.layers import BinaryConv2d, BinaryLinear, RSign
from mmreact.models import ReActNet  # noqa: F401, registers

# Width and stride of the 13 blocks, from the paper's table.
BLOCKS_A = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
            *[(512, 1)] * 5, (1024, 2), (1024, 1)]
PIXELS = 224 * 224


def reactnet_a(**kwargs):
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='ReActNet', arch='a', **kwargs),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='LinearClsHead', num_classes=1000, in_channels=1024)))


@pytest.fixture(scope='module')
def a():
    return count_ops(reactnet_a(), (3, 224, 224))


def count_a_by_hand(size=224):
    """``(one-bit MACs, real MACs, 1-bit weights, other parameters)``."""
    side, channels = size // 2, 32
    bops, weights = 0, 0
    flops = side**2 * 32 * 3 * 9
    rest = 32 * 3 * 9 + 2 * 32  # stem, its BN
    for width, stride in BLOCKS_A:
        side //= stride
        bops += side**2 * (9 * channels**2 + channels * width)
        weights += 9 * channels**2 + channels * width
        # 2 RSign, 2 RPReLU of 3, 2 BN of 2
        rest += 2 * channels + 3 * (channels + width) + 2 * (channels + width)
        channels = width
    return bops, flops + 1024 * 1000, weights, rest + 1024 * 1000 + 1000


def test_published_counts_of_a(a):
    assert a.bops == 4_816_896_000
    assert a.flops == 11_862_016
    assert a.ops == 87_126_016 and isinstance(a.ops, int)
    assert a.params == 29_343_592
    assert a.one_bit_params == 28_253_184
    assert a.packed_bytes == round(a.packed_bytes)
    assert round(a.packed_bytes / 1e6, 2) == 7.89


def test_a_by_hand(a):
    bops, flops, weights, rest = count_a_by_hand()
    assert (a.bops, a.flops, a.one_bit_params) == (bops, flops, weights)
    assert a.params == weights + rest
    # All widths but the first block's 32 are whole words of 64.
    words = (9 * 32 + 64) * 1 + (weights - 9 * 32**2 - 32 * 64) // 64
    assert a.packed_bytes == 8 * words + 4 * rest


def test_layer_table_of_a(a):
    # Stem and classifier, a 3x3 a block, a 1x1 or two.
    assert len(a.layers) == 2 + 13 + 13 + 5
    assert sum(layer.macs for layer in a.layers) == a.bops + a.flops
    real = [layer for layer in a.layers if not layer.binary]
    assert [(layer.name, layer.type) for layer in real] == \
        [('backbone.stem.0', 'Conv2d'), ('head.fc', 'Linear')]
    assert a.layers[1].name == 'backbone.stages.0.0.conv1'
    assert a.layers[1].output_shape == (32, 112, 112)
    assert a.layers[1].macs == 112 * 112 * 32 * 32 * 9
    assert a.layers[-1].params == 1025 * 1000


@pytest.mark.parametrize('size', [64, 96])
def test_other_sizes(size):
    report = count_ops(reactnet_a(), (3, size, size))
    assert (report.bops, report.flops) == count_a_by_hand(size)[:2]


def test_stage_1_has_no_bops(a):
    report = count_ops(reactnet_a(weight_binarizer='real'), (3, 224, 224))
    assert report.bops == report.one_bit_params == 0
    assert report.flops == report.ops == a.bops + a.flops
    assert report.params == a.params
    assert report.packed_bytes == 4 * a.params


TWICE = nn.Conv2d(4, 4, 3, padding=1)
BOTH = BinaryConv2d(4, 4, 1)
# modules on a (4, 9, 7) input -> BOPs, FLOPs, parameters, 1-bit parameters
CASES = {
    'groups': ([nn.Conv2d(4, 6, 3, groups=2)], 0, 35 * 108, 114, 0),
    'depthwise': ([nn.Conv2d(4, 4, 3, groups=4)], 0, 35 * 36, 40, 0),
    'no bias': ([nn.Conv2d(4, 1, 3, bias=False)], 0, 35 * 36, 36, 0),
    'padding': ([nn.Conv2d(4, 1, 3, padding=1)], 0, 63 * 36, 37, 0),
    'dilation': ([nn.Conv2d(4, 1, 3, dilation=2)], 0, 15 * 36, 37, 0),
    'stride': ([nn.Conv2d(4, 2, (3, 1), (2, 3))], 0, 12 * 24, 26, 0),
    # Each of the 63 input positions spends 2 x 3 x 3 taps a channel.
    'transposed': ([nn.ConvTranspose2d(4, 2, 3, 2)], 0, 252 * 18, 74, 0),
    'transposed, groups': ([nn.ConvTranspose2d(4, 2, 3,
                                               groups=2)], 0, 252 * 9, 38, 0),
    'linear on pixels': ([nn.Linear(7, 3)], 0, 36 * 21, 24, 0),
    'linear': ([nn.Flatten(), nn.Linear(252, 3)], 0, 756, 759, 0),
    'conv1d': ([nn.Flatten(2), nn.Conv1d(4, 2, 3)], 0, 61 * 24, 26, 0),
    'called twice': ([TWICE, TWICE], 0, 2 * 63 * 144, 148, 0),
    'not counted': ([nn.BatchNorm2d(4),
                     nn.PReLU(4),
                     nn.AvgPool2d(2)], 0, 0, 12, 0),
    'binary on real': ([BinaryConv2d(4, 2, 1)], 0, 504, 8, 8),
    'binary': ([RSign(4), BinaryConv2d(4, 2, 1)], 504, 0, 12, 8),
    'binary, groups': ([RSign(4), BinaryConv2d(4, 4, 3,
                                               groups=2)], 35 * 72, 0, 76, 72),
    'binary, bias': ([RSign(4), BinaryConv2d(4, 2, 1,
                                             bias=True)], 504, 0, 14, 8),
    'real on binary': ([RSign(4), nn.Conv2d(4, 2, 1)], 0, 504, 14, 0),
    'binary linear': ([RSign(4), nn.Flatten(),
                       BinaryLinear(252, 3)], 756, 0, 760, 756),
    'zeros are not 1-bit': ([RSign(4),
                             nn.ZeroPad2d(1),
                             BinaryConv2d(4, 2, 1)], 0, 99 * 8, 12, 8),
    # The first call on a real input, the second on a 1-bit one.
    'binary on both': ([BOTH, RSign(4), BOTH], 63 * 16, 63 * 16, 20, 16),
}


@pytest.mark.parametrize('case', CASES)
def test_by_hand(case):
    modules, bops, flops, params, one_bit = CASES[case]
    report = count_ops(nn.Sequential(*modules), (4, 9, 7))
    assert (report.bops, report.flops) == (bops, flops)
    assert (report.params, report.one_bit_params) == (params, one_bit)
    assert report.ops == bops / 64 + flops
    in_rows = sum(layer.one_bit_params for layer in report.layers)
    assert in_rows == one_bit


@pytest.mark.parametrize('bops,expected', [(63 * 8, 7.875), (64 * 8, 8)])
def test_ops_need_not_be_an_integer(bops, expected):
    model = nn.Sequential(RSign(4), BinaryConv2d(4, 2, 1))
    report = count_ops(model, (4, 1, bops // 8))
    assert report.ops == expected
    assert isinstance(report.ops, type(expected))


@pytest.mark.parametrize('layer,size', [
    (BinaryConv2d(1, 1, 1), 8),
    (BinaryConv2d(63, 2, 1), 16),
    (BinaryConv2d(64, 2, 1), 16),
    (BinaryConv2d(65, 2, 1), 32),
    (BinaryConv2d(65, 2, 3), 288),
    (BinaryConv2d(128, 4, 1, groups=2), 32),
    (BinaryConv2d(64, 2, 1, bias=True), 24),
    (BinaryConv2d(64, 2, 1, weight_binarizer='sign'), 16),
    (BinaryConv2d(64, 2, 1, weight_binarizer='real'), 512),
    (BinaryLinear(65, 3), 48),
    (nn.Conv2d(3, 2, 1), 32),
])
def test_packed_bytes(layer, size):
    linear = isinstance(layer, nn.Linear)
    cin = layer.in_features if linear else layer.in_channels
    report = count_ops(layer, (cin, ) if linear else (cin, 3, 3))
    assert report.packed_bytes == size


@pytest.mark.parametrize('mode', [True, False])
@pytest.mark.parametrize('fail', [False, True])
def test_leaves_everything_as_it_was(mode, fail):
    model = reactnet_a(frozen_stages=1, norm_eval=True).train(mode)
    model.backbone.stages[3].eval()
    model.append = nn.Dropout(0.5)
    model(torch.randn(2, 3, 64, 64)).sum().backward()

    def state():
        return dict(
            modes=[m.training for m in model.modules()],
            free=[p.requires_grad for p in model.parameters()],
            hooks=[len(m._forward_hooks) for m in model.modules()],
            python=random.getstate(),
            numpy=[str(part) for part in np.random.get_state()],
            torch=torch.get_rng_state().tolist())

    def tensors():
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        return [t.clone() for t in [*model.state_dict().values(), *grads]]

    before, values = state(), tensors()
    assert len(values) > len(model.state_dict())
    if fail:
        with pytest.raises(ValueError, match='too small'):
            count_ops(model, (3, 8, 8))
    else:
        count_ops(model, (3, 64, 64))
    assert state() == before
    assert all(torch.equal(a, b) for a, b in zip(tensors(), values))


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_dtypes(dtype):
    model = nn.Sequential(RSign(4), BinaryConv2d(4, 2, 1)).to(dtype)
    assert count_ops(model, (4, 9, 7)).bops == 63 * 8


def test_reports(a):
    lines = a.table().splitlines()
    assert len(lines) == 1 + 33 + 6
    assert lines[-6:] == a.summary().splitlines()
    for number in ('4,816,896,000', '11,862,016', '87,126,016', '29,343,592',
                   '28,253,184', f'{a.packed_bytes:,}'):
        assert number in a.summary()
    row = next(line for line in lines if '.conv1 ' in line).split()
    assert row == [
        'backbone.stages.0.0.conv1', 'BinaryConv2d', '32x112x112',
        '115,605,504', '0', '9,216', '9,216'
    ]
    data = json.loads(json.dumps(a.to_dict()))
    assert data['ops'] == 87_126_016
    assert sum(row['macs'] for row in data['layers']) == a.bops + a.flops
    assert count_ops(nn.PReLU(), (1, )).table().count('\n') == 6
