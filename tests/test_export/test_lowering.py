"""Small networks of every layer and function, lowered and run packed."""
import collections
import operator
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmcv.cnn import ConvModule
from torch import nn

import mmreact
from mmreact.export import LoweringError, lower, lowers, verify
from mmreact.export.rows import FUNCTIONS, LAYERS
from mmreact.functional import WEIGHT_BINARIZERS
from mmreact.layers import (ActivationScale, BinaryConv2d, BinaryLinear,
                            ChannelGate, ChannelMix, HalvingPool, LeakyClip,
                            LearnedScale, RPReLU, RSign)
from mmreact.packed import ops
from mmreact.packed.bits import unpack
from mmreact.packed.reference import ReferenceBackend


class Function(nn.Module):
    """A function, and layers that it gets as further arguments."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


class Biased(nn.Module):
    """Constants of a network's own."""

    def __init__(self, *shape):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(*shape))
        self.register_buffer('factor', torch.randn(*shape))

    def forward(self, x):
        return (x - self.shift) * self.factor.exp() + self.shift.abs()


def signed(conv, *more):
    return nn.Sequential(RSign(conv.in_channels), conv, *more)


def bconv(cin, cout, kernel=3, **kwargs):
    return nn.Sequential(
        RSign(cin), BinaryConv2d(cin, cout, kernel, **kwargs),
        nn.BatchNorm2d(cout))


def blinear(cin, cout, **kwargs):
    return nn.Sequential(nn.Flatten(), RSign(cin, channel_dim=-1),
                         BinaryLinear(cin, cout, **kwargs),
                         nn.BatchNorm1d(cout))


def activated(layer, channels=6):
    """The layer behind a convolution, and a sign that shows its flips."""
    return nn.Sequential(
        nn.Conv2d(2, channels, 3), layer, RSign(channels),
        BinaryConv2d(channels, 2, 1))


def shared():
    layer = nn.Sequential(RSign(4), BinaryConv2d(4, 4, 1), nn.Tanh())
    return nn.Sequential(layer, layer, RPReLU(4), layer)


def residual(relu):
    """``relu`` changes its input, if in place also for the shortcut."""
    return Function(lambda x, conv, act: (lambda y: act(y) * 2 + y)(conv(x)),
                    nn.Conv2d(2, 4, 3), relu)


def functional_in_place(x):
    y = x * 2
    F.relu(y, inplace=True)
    z = y - 1
    z += x
    z.mul_(0.5)
    torch.relu_(z)
    F.hardtanh(z, -0.5, 0.5, True)
    return torch.abs(z) + y


def chunks(x):
    a, b = x.chunk(2, 1)
    return torch.cat([b, a], 1)


# name -> (network, shape of its images)
NETWORKS = dict(
    {
        f'channels-{n}': (bconv(n, 7, padding=1), (n, 5, 6))
        for n in (1, 2, 3, 63, 64, 65, 127, 130)
    },
    pointwise_odd_map=(bconv(5, 9, 1), (5, 5, 7)),
    pointwise_stride=(bconv(5, 9, 1, stride=2), (5, 5, 7)),
    to_one_pixel=(bconv(5, 9, (5, 7)), (5, 5, 7)),
    groups=(bconv(12, 8, groups=4, padding=1), (12, 5, 5)),
    depthwise=(bconv(6, 6, groups=6), (6, 5, 5)),
    stride=(bconv(4, 4, 3, stride=(2, 3), padding=(1, 2)), (4, 9, 8)),
    dilation=(bconv(4, 4, 3, dilation=(2, 1), padding=2), (4, 9, 8)),
    bias=(bconv(4, 4, 3, bias=True), (4, 5, 5)),
    same=(bconv(4, 4, (3, 5), padding='same', dilation=2), (4, 8, 9)),
    valid=(bconv(4, 4, 3, padding='valid'), (4, 5, 5)),
    real_input=(nn.Sequential(
        BinaryConv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5)), (3, 6, 6)),
    linear=(blinear(24, 3), (2, 3, 4)),
    linear_bias=(blinear(130, 3, bias=True), (130, 1, 1)),
    linear_real=(nn.Sequential(nn.Flatten(), nn.Linear(24, 5),
                               nn.BatchNorm1d(5)), (2, 3, 4)),
    conv_bias=(nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1, 2, bias=True), nn.BatchNorm2d(4)), (3, 9, 9)),
    conv_groups=(nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2, bias=False),
        nn.BatchNorm2d(6, affine=False)), (4, 5, 5)),
    bn_first=(nn.Sequential(nn.BatchNorm2d(3),
                            nn.Conv2d(3, 2, 3, padding=1)), (3, 5, 5)),
    bn_sign=(nn.Sequential(nn.BatchNorm2d(16), bconv(16, 4)), (16, 5, 5)),
    bn_hardtanh_sign=(nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Hardtanh(),
        bconv(16, 4)), (3, 8, 8)),
    bn_two_consumers=(Function(
        lambda x, bn, sign, conv: conv(sign(bn(x))) + bn(x)[:, :4],
        nn.BatchNorm2d(16), RSign(16), BinaryConv2d(16, 4, 1)), (16, 5, 5)),
    bn_shared=(Function(
        lambda x, bn, conv, sign: (lambda u: conv(sign(u)) * u.mean(
            (2, 3), keepdim=True))(bn(x)), nn.BatchNorm2d(8),
        BinaryConv2d(8, 8, 3), RSign(8)), (8, 5, 5)),
    bn_after_shortcut=(Function(lambda x, conv, bn, act: act(bn(conv(x) + x)),
                                nn.Conv2d(4, 4, 3, padding=1),
                                nn.BatchNorm2d(4), RPReLU(4)), (4, 5, 5)),
    shared=(shared(), (4, 5, 5)),
    concat=(Function(lambda x, a, b: torch.cat([a(x), b(x), x], 1),
                     bconv(3, 4, padding=1), nn.Conv2d(3, 2, 1)), (3, 5, 5)),
    concat_signs=(Function(
        lambda x, a, b, conv: conv(torch.cat([a(x), b(x)], dim=-3)), RSign(3),
        RSign(3), BinaryConv2d(6, 2, 3)), (3, 5, 5)),
    concat_mixed=(Function(lambda x, a, conv: conv(torch.cat([a(x), x], 1)),
                           RSign(3), nn.Conv2d(6, 2, 3)), (3, 5, 5)),
    slices=(Function(lambda x: x[:, :2] + x[:, -2:] + x[:, 1:3, :]), (5, 3,
                                                                      4)),
    chunk=(Function(chunks), (5, 3, 4)),
    split=(Function(lambda x: torch.split(x, 2, dim=1)[2]), (5, 3, 4)),
    split_sizes=(Function(lambda x: torch.cat(x.split([1, 4], 1)[::-1], 1)),
                 (5, 3, 4)),
    numbers=(Function(lambda x: 1 - (2 * x + 3 - x / 4) * 0.5 - (-x)), (3, 4,
                                                                        4)),
    torch_functions=(Function(lambda x: torch.sub(
        torch.add(x, x, alpha=2), torch.mul(x, x), alpha=0.5)), (3, 4, 4)),
    torch_numbers=(Function(lambda x: torch.add(x, 3, alpha=2) - torch.div(
        torch.sub(x, 1, alpha=-2), 3)), (3, 4, 4)),
    constants=(Biased(3, 1, 1), (3, 4, 4)),
    constants_batch=(Biased(1, 3, 1, 1), (3, 4, 4)),
    constant_map=(Function(lambda x: x * torch.arange(12.).view(3, 4)), (2, 3,
                                                                         4)),
    vector_constants=(nn.Sequential(nn.Flatten(), Biased(6)), (6, 1, 1)),
    gate=(Function(lambda x, conv, gate: conv(x) * gate(x), bconv(8, 6),
                   ChannelGate(8, 6)), (8, 5, 5)),
    gate_of_images=(Function(lambda x: x * x.abs().mean(1, keepdim=True)),
                    (3, 4, 5)),
    learned_scale=(nn.Sequential(
        RSign(4), BinaryConv2d(4, 3, 3), LearnedScale(3, (3, 4)),
        nn.PReLU(3)), (4, 5, 6)),
    activation_scale=(Function(lambda x, conv, scale: conv(x) * scale(x),
                               bconv(4, 3, (3, 2), stride=2, padding=1),
                               ActivationScale((3, 2), 2, 1)), (4, 6, 7)),
    channel_mix=(Function(lambda x, conv, mix: mix(x, conv(x)),
                          bconv(4, 4, padding=1), ChannelMix(4)), (4, 5, 5)),
    leaky_clip=(nn.Sequential(LeakyClip(), bconv(3, 4)), (3, 5, 5)),
    rsign_plain=(nn.Sequential(
        RSign(3, learnable=False), BinaryConv2d(3, 4, 1)), (3, 5, 5)),
    rsign_tanh=(nn.Sequential(RSign(3, binarizer='tanh'),
                              nn.Conv2d(3, 4, 1)), (3, 5, 5)),
    rsign_tanh_plain=(nn.Sequential(
        RSign(3, binarizer='tanh', learnable=False), nn.Conv2d(3, 4,
                                                               1)), (3, 5, 5)),
    rsign_real=(nn.Sequential(RSign(3, binarizer='real'),
                              nn.Conv2d(3, 4, 1)), (3, 5, 5)),
    rsign_real_plain=(nn.Sequential(
        nn.ReLU(), RSign(3, binarizer='real', learnable=False)), (3, 5, 5)),
    sign_of_sign=(nn.Sequential(
        RSign(3), RSign(3), nn.BatchNorm2d(3), RSign(3), nn.MaxPool2d(2),
        nn.ReLU(), BinaryConv2d(3, 2, 1)), (3, 5, 5)),
    conv_module=(nn.Sequential(
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN')),
        ConvModule(4, 4, 1, act_cfg=None)), (3, 5, 5)),
    dropout=(nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Dropout2d(0.5),
        nn.Identity()), (3, 5, 5)),
    dropout_function=(Function(
        lambda x, conv: F.dropout(conv(x), 0.5, training=False),
        nn.Conv2d(3, 4, 3)), (3, 5, 5)),
    relu_in_place=(residual(nn.ReLU(inplace=True)), (2, 5, 5)),
    relu_beside=(residual(nn.ReLU()), (2, 5, 5)),
    functional_in_place=(Function(functional_in_place), (2, 5, 5)),
    ceil_mean_uneven=(nn.AdaptiveAvgPool2d((3, 2)), (2, 7, 5)),
    views=(Function(
        lambda x, fc: fc(x.view(x.size(0), -1)) + fc(x.reshape(-1, 24)) + fc(
            x.flatten(1)) + fc(torch.flatten(x, 1)) + fc(
                x.reshape((x.shape[0], -1))), nn.Linear(24, 3)), (2, 3, 4)),
    mean=(Function(lambda x, fc: fc(x.mean([2, 3])) + fc(x.mean((-1, -2))),
                   nn.Linear(4, 3)), (4, 3, 5)),
    functional_pools=(Function(lambda x: F.adaptive_avg_pool2d(
        F.avg_pool2d(x, 2, 1), 3) + F.max_pool2d(x, 3, stride=2)), (2, 7, 7)),
)
ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU6(),
    nn.LeakyReLU(0.2),
    nn.PReLU(),
    nn.PReLU(6),
    nn.Hardtanh(-0.5, 0.7),
    nn.Sigmoid(),
    nn.Tanh(),
    RPReLU(6),
    nn.Identity(),
    Function(F.relu),
    Function(torch.relu),
    Function(F.relu6),
    Function(F.hardtanh),
    Function(lambda x: x.clamp(-0.5, 0.6)),
    Function(lambda x: torch.clamp(x, max=0.3)),
    Function(torch.sigmoid),
    Function(lambda x: x.tanh()),
    Function(lambda x: abs(x)),
    Function(lambda x: x.clamp_min(0.1) + torch.clamp_max(x, 0.2)),
    Function(lambda x: F.leaky_relu_(x, 0.3)),
]
POOLS = [
    nn.AvgPool2d(2),
    nn.AvgPool2d(3, 2, padding=1),
    nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False),
    nn.AvgPool2d((3, 2), (2, 3), padding=(1, 0), ceil_mode=True),
    nn.MaxPool2d(3, 2, padding=1),
    nn.MaxPool2d(2, 2, ceil_mode=True),
    nn.MaxPool2d(2, 1, dilation=2),
    nn.AdaptiveAvgPool2d(1),
    nn.AdaptiveAvgPool2d((2, 3)),
    HalvingPool(),
]
NETWORKS.update({
    f'activation-{i}': (activated(layer), (2, 7, 7))
    for i, layer in enumerate(ACTIVATIONS)
})
NETWORKS.update({
    f'pool-{i}': (nn.Sequential(nn.Conv2d(2, 3, 1), layer), (2, 7, 9))
    for i, layer in enumerate(POOLS)
})


def run(program, x):
    return ReferenceBackend(program).run(x.numpy(),
                                         [program.output])[program.output]


@pytest.mark.parametrize('name', NETWORKS)
def test_networks(name, randomize, images):
    """Layer by layer and end to end, with zeros where they are hard."""
    network, shape = NETWORKS[name]
    network = randomize(deepcopy(network))
    program = lower(network, shape)
    x = images(3, *shape)
    report = verify(network, program, x)
    assert report.ok, report.table()
    assert report.images == 3
    assert {layer.name
            for layer in report.layers if layer.values
            } == {op.name
                  for op in program.operations} - MIDST.get(name, set())
    with torch.no_grad():
        truth = network.double()(x.double()).numpy()
    np.testing.assert_allclose(run(program, x), truth, rtol=1e-5, atol=1e-5)


#: Operations in the midst of a layer, whose value torch does not show.
MIDST = dict(
    activation_scale={'layers.1.abs', 'layers.1.mean'},
    channel_mix={'layers.1.first', 'layers.0.1'},
    learned_scale={'1'},
    rsign_tanh={'0.shift'},
    concat_mixed={'cat.real'},
    numbers={'neg', 'truediv'},
    torch_functions={'add.other', 'sub.negative'},
    torch_numbers={'sub'},
    mean={'mean.pool', 'mean.pool#2'},
    split_sizes={'split', 'split#2'},
    sign_of_sign={'0.real', '3.real', '4.real'})


@pytest.mark.parametrize('binarizer', WEIGHT_BINARIZERS)
@pytest.mark.parametrize('make', [bconv, blinear])
def test_weight_binarizers(binarizer, make, randomize, images):
    """1-bit weights become bits, others stay real."""
    network = randomize(make(6, 5, **{
        'weight_binarizer': binarizer,
        **(dict(kernel=1) if make is bconv else {})
    }))  # yapf: disable
    program = lower(network, (6, 1, 1))
    kinds = {type(op) for op in program.operations}
    one_bit = WEIGHT_BINARIZERS[binarizer].one_bit
    assert bool(kinds & {ops.BinaryConv2d, ops.BinaryLinear}) == one_bit
    assert verify(network, program, images(3, 6, 1, 1)).ok


def test_bits_of_the_latent_weights():
    """Bit 1 is a latent weight above 0; a latent 0 is -1."""
    layer = BinaryConv2d(70, 2, (1, 3), groups=1)
    with torch.no_grad():
        layer.weight.normal_()
        layer.weight[:, ::3] = 0
        layer.weight[1] = 0
    program = lower(nn.Sequential(RSign(70), layer), (70, 3, 3))
    op = program.operations[1]
    assert op.weight.shape == (2, 1, 3, 2) and op.weight.dtype == np.uint64
    truth = np.where(layer.weight.detach().numpy() > 0, 1, -1)
    assert (unpack(op.weight, 70) == truth.transpose(0, 2, 3, 1)).all()
    alpha = layer.weight.detach().double().abs().mean((1, 2, 3))
    assert (op.scale == alpha.numpy().astype(np.float32)).all()
    assert op.scale[1] == 0


SIGN, CONV, BCONV, AFFINE = 'sign', 'conv2d', 'binary_conv2d', 'affine'
# network -> the kinds of its operations
FOLDED = [
    (bconv(4, 4), [SIGN, BCONV]),
    (nn.Sequential(nn.BatchNorm2d(4), bconv(4, 4)), [SIGN, BCONV]),
    (nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), [CONV]),
    (nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)), [AFFINE, CONV]),
    (nn.Sequential(bconv(4, 4), bconv(4, 4)), [SIGN, BCONV] * 2),
    (nn.Sequential(
        bconv(4, 4), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.Hardtanh(),
        bconv(4, 4)), [SIGN, BCONV, 'max_pool2d', SIGN, BCONV]),
    (nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4),
                   nn.ReLU()), [AFFINE, 'clamp']),
    (Function(lambda x, bn, sign: bn(x) + sign(bn(x)), nn.BatchNorm2d(4),
              RSign(4)), [AFFINE, SIGN, 'add']),
    (Function(lambda x, conv, bn: bn(conv(x)) + conv(x), nn.Conv2d(4, 4, 1),
              nn.BatchNorm2d(4)), [CONV, CONV, 'add']),
    (Function(lambda x, conv, bn: (lambda y: bn(y) + y)(conv(x)),
              nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), [CONV, AFFINE, 'add']),
    (Function(lambda x, conv, bn: (lambda y: (y, bn(y)))(conv(x)),
              nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), [CONV, AFFINE]),
]


@pytest.mark.parametrize('network,kinds', FOLDED)
def test_what_is_folded(network, kinds):
    """Only what nothing else needs disappears."""
    network(torch.randn(4, 4, 8, 8))  # statistics
    program = lower(network, (4, 8, 8))
    assert [ops.kind_of(type(op)) for op in program.operations] == kinds


@pytest.mark.parametrize('scale', [0.5, -0.5, 0.])
@pytest.mark.parametrize('alpha', [0., 0.25, -3.])
@pytest.mark.parametrize('bias', [0., 0.25, -1.])
def test_bn_before_sign_on_the_threshold(scale, alpha, bias):
    """Dyadic numbers, for which float32 is exact: no sign may differ."""
    bn, sign = nn.BatchNorm2d(1, eps=0.), RSign(1)
    bn.running_mean.fill_(0.375)
    bn.weight.data.fill_(scale)
    bn.bias.data.fill_(bias)
    sign.alpha.data.fill_(alpha)
    network = nn.Sequential(bn, sign).eval()
    middle = (alpha - bias) / scale + 0.375 if scale else 0.
    x = torch.tensor([middle - 1, middle, middle + 1, 0., 0.375])
    x = torch.cat([x, x.nextafter(x + 1), x.nextafter(x - 1)])
    x = x.view(-1, 1, 1, 1)
    program = lower(network, (1, 1, 1))
    assert len(program.operations) == 1
    with torch.no_grad():
        truth = network.double()(x.double())
    assert (run(program, x) == truth.numpy()).all()


def test_names():
    """An operation is named after its layer, a second call with a number."""
    program = lower(shared(), (4, 5, 5))
    assert [op.name for op in program.operations] == [
        '0.0', '0.1', '0.2', '0.0#2', '0.1#2', '0.2#2', '2', '0.0#3', '0.1#3',
        '0.2#3'
    ]
    block = Function(lambda x, conv: conv(x) + x, nn.Conv2d(4, 4, 1))
    program = lower(nn.Sequential(block, block), (4, 5, 5))
    assert [op.name for op in program.operations
            ] == ['0.layers.0', '0.add', '0.layers.0#2', '0.add#2']


def test_the_model_is_left_as_it_was():
    """Mode, dtype, parameters and class stay; nothing is shared."""
    model = nn.Sequential(bconv(4, 4), nn.ReLU(inplace=True),
                          nn.Dropout()).train()
    model[0].eval()
    model.half()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    program = lower(model, (4, 5, 5))
    verify(model, program, torch.randn(2, 4, 5, 5))
    assert [m.training for m in (model, model[0], model[1], model[2])
            ] == [True, False, True, True]
    assert type(model) is nn.Sequential and model[1].inplace
    for key, value in model.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])
    model[0][1].weight.data.neg_()
    assert (lower(model, (4, 5, 5)).operations[1].weight
            != program.operations[1].weight).any()


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_dtypes_are_cast(dtype, randomize, images):
    network = randomize(nn.Sequential(bconv(4, 4), nn.PReLU())).to(dtype)
    program = lower(network, (4, 5, 5))
    for op in program.operations:
        for value in op.tensors().values():
            assert value.dtype in (np.float32, np.uint64, np.uint8)
    report = verify(network, program, images(2, 4, 5, 5))
    assert report.ok, report.table()


def test_features_and_output():
    """A tuple of maps: all are features and the last one the output."""
    network = Function(lambda x, a, b: (a(x), b(a(x))), nn.ReLU(), bconv(3, 4))
    program = lower(network, (3, 5, 5))
    assert program.features == ('layers.0', 'layers.1.1')
    assert program.output == 'layers.1.1'


@pytest.mark.parametrize('wrap', [
    lambda y, z: dict(out=y, aux=z), lambda y, z:
    (z, y), lambda y, z: dict(out=[z, y]),
    lambda y, z: collections.namedtuple('Outputs', 'aux out')
    (z, y), lambda y, z: dict(logits=y)
])
def test_outputs_in_structures(wrap, images):
    """What segmentation networks return; verify compares the same entry."""
    network = Function(lambda x, a, b: wrap(a(x), b(x)), nn.Conv2d(3, 2, 1),
                       nn.Conv2d(3, 4, 3))
    program = lower(network, (3, 5, 5))
    assert program.output == 'layers.0'
    assert verify(network, program, images(2, 3, 5, 5)).ok


def test_other_image_sizes():
    """Only the batch is fixed nowhere; sides are free without flatten."""
    network = nn.Sequential(
        bconv(3, 4, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 2)).eval()
    program = lower(network, (3, 8, 8))
    x = torch.randn(5, 3, 11, 6)
    with torch.no_grad():
        truth = network(x).numpy()
    np.testing.assert_allclose(run(program, x), truth, rtol=1e-4, atol=1e-5)


def test_torchvision_resnet18_binarized(randomize, images):
    model, _ = mmreact.binarize(torchvision.models.resnet18(num_classes=5))
    randomize(model)
    program = lower(model, (3, 33, 40))
    kinds = [ops.kind_of(type(op)) for op in program.operations]
    assert kinds.count(BCONV) == kinds.count(SIGN) == 19
    assert AFFINE not in kinds  # all BNs are folded
    report = verify(model, program, images(1, 3, 33, 40))
    assert report.ok, report.table()


@pytest.mark.parametrize('shape', [(3, 5), (3, 0, 5), (3, 5., 5),
                                   (1, 3, 5, 5)])
def test_input_shape_is_checked(shape):
    with pytest.raises(LoweringError, match='input_shape is'):
        lower(nn.Sequential(nn.ReLU()), shape)


class Branching(nn.Module):

    def forward(self, x):
        return x if x.sum() > 0 else -x


class Unrolled(nn.Module):

    def forward(self, x):
        return sum(row for row in x)


@torch.fx.wrap
def helper(x):
    return x + 1


def nan_weight(layer, name='weight'):
    with torch.no_grad():
        getattr(layer, name).view(-1)[0] = float('nan')
    return layer


ERRORS = [
    (nn.Sequential(nn.ReLU(), nn.Softshrink()), [
        "softshrink in the module '1' (Softshrink)", 'is not known',
        'Known layers: ', 'BinaryConv2d', 'functions and methods: ', 'cat',
        'mmreact.export.lowers'
    ]),
    (nn.Sequential(Function(torch.special.erf)),
     ['function', 'special_erf', "module '0'", 'is not known']),
    (Function(lambda x: x.sort(1)[0]), ['method sort', 'is not known']),
    (nn.Sequential(Function(lambda x: helper(x))), ['helper', 'is not known']),
    (nn.Sequential(Branching()),
     ["'0' (Branching)", 'cannot be traced', 'TraceError', 'torch.fx.wrap']),
    (Unrolled(), ['The forward of the model cannot be traced']),
    (nn.Conv2d(4, 4, 3, padding=1,
               padding_mode='reflect'), ["'0'", "pads by 'reflect'"]),
    (nn.Sequential(nan_weight(nn.Conv2d(4, 4, 3))), ["'0'", 'NaN']),
    (nn.Sequential(nan_weight(BinaryConv2d(4, 4, 3))), ["'0'", 'NaN']),
    (nn.Sequential(nan_weight(BinaryConv2d(4, 4, 3, bias=True),
                              'bias')), ["'0'", 'NaN']),
    (nn.Sequential(nan_weight(nn.BatchNorm2d(4),
                              'running_var')), ["'0'", 'NaN']),
    (nn.Sequential(nan_weight(RSign(4), 'alpha')), ["'0'", 'NaN']),
    (nn.BatchNorm2d(4, track_running_stats=False), ['running statistics']),
    (nn.Sequential(RSign(8, channel_dim=-1)),
     ["'0'", 'dimension -1', 'vectors (N, C)']),
    (nn.AvgPool2d(2, divisor_override=3), ['divisor_override']),
    (nn.MaxPool2d(2, return_indices=True), ['indices']),
    (nn.Flatten(2), ['returns a value arranged as (N, C, H W)']),
    (nn.Conv2d(3, 4, 3), ['is for 3 channels, got real 1x4x8x8']),
    (nn.Conv2d(4, 4, 9), ['window larger']),
    (Function(lambda x: x.view(2, -1)), ["('N', 4, 8, 8) as (2, -1)"]),
    (Function(lambda x: x.mean(3)), ['returns a value arranged as (N, C, H)']),
    (Function(lambda x: x[:, ::2]), ['step 2']),
    (Function(lambda x: x[0]), ['some of the images']),
    (Function(lambda x: torch.cat([x, x], 2)), ['that of the channels']),
    (Function(lambda x: x / x), ['division by a constant']),
    (Function(lambda x: 1 / x), ['division by a constant']),
    (Function(lambda x: x / 0), ['NaN or infinity']),
    (nn.BatchNorm2d(3), ['is for 3 channels']),
    (nn.PReLU(3), ['is for 3 channels']),
    (Function(lambda x: x * x.size(0)), ['the number of images']),
    (Function(lambda x: x + x.shape[0] // 3), ['the number of images']),
    (Function(lambda x: x / (len(x) + 1)), ['the number of images']),
    (Function(lambda x: x + torch.ones(8, 8)), ['within a channel']),
    (Function(lambda x: x * torch.ones(5)), ['does not fit']),
    (Function(lambda x: torch.add(x, 1, out=x)),
     ['called in a way that is not known', 'out']),
    (Function(lambda x: F.dropout(x, 0.5)), ['drops in eval mode']),
    (Function(lambda x: (lambda y, z: z.relu_() + y)(*[x * 2] * 2) + F.relu(
        (x * 2).view(x.size(0), -1)).mean()), ['mean']),
    (Function(lambda x: (lambda y: y.detach() + y.relu_())(x * 2)),
     ['in place', 'another view']),
    (Function(lambda x: 1), ['a int that does not depend', 'no tensors']),
    (Function(lambda x: []), ['no tensors']),
    (Function(lambda x: dict(a=x * 2, b=x)), ["['a', 'b']", "'out'"]),
    (Function(lambda x: x), ['does not exist']),
]


@pytest.mark.parametrize('network,words', ERRORS)
def test_errors_name_place_and_reason(network, words):
    with pytest.raises(LoweringError) as error:
        lower(network, (4, 8, 8))
    for word in words:
        assert word in str(error.value)


def test_what_is_too_large_for_float32():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    network[0].weight.data.fill_(1e30)
    network[1].weight.data.fill_(1e30)
    with pytest.raises(LoweringError, match="weight of '0'.*too large"):
        lower(network, (1, 1, 1))


def test_weights_that_are_not_one_bit(monkeypatch):
    from mmreact.functional import WeightBinarizer
    monkeypatch.setitem(WEIGHT_BINARIZERS, 'ternary',
                        WeightBinarizer(torch.round, one_bit=True))
    layer = BinaryConv2d(4, 4, 1, weight_binarizer='ternary')
    layer.weight.data[0, :2] = torch.tensor([1., 2.]).view(2, 1, 1)
    with pytest.raises(LoweringError, match='are not .a and -a'):
        lower(nn.Sequential(layer), (4, 2, 2))


class Doubled(nn.Module):
    """A layer of a user's own, which fx cannot look into."""

    def forward(self, x):
        return x * 2 if x.sum() > 0 else x + x


def test_a_new_layer_is_a_function_and_a_row(monkeypatch, images):
    monkeypatch.setattr('mmreact.export.rows.LAYERS', dict(LAYERS))
    network = nn.Sequential(nn.Conv2d(3, 2, 1), Doubled(), nn.ReLU())
    with pytest.raises(LoweringError, match='Doubled'):
        lower(network, (3, 4, 4))

    @lowers(Doubled)
    def doubled(site, layer, x):
        return site.affine(x, 2.)

    program = lower(network, (3, 4, 4))
    assert verify(network, program, images(2, 3, 4, 4)).ok


def test_every_row_is_tested():
    """Each layer and function of the tables is in one of the networks."""
    from test_common_layers import CASES
    from test_idioms import IDIOMS

    from mmreact.export.lowering import lower_traced
    seen = set()
    idioms = [(Function(*parts), (6, 8, 8)) for parts in IDIOMS.values()]
    common = [(layer, (6, 7, 8)) for layer, _ in CASES]
    for network, shape in [*NETWORKS.values(), *idioms, *common]:
        module = lower_traced(network, shape).module
        for node in module.graph.nodes:
            if node.op == 'call_module':
                layer = module.get_submodule(node.target)
                seen |= {FUNCTIONS.get(node.target)}
                seen |= {LAYERS[cls] for cls in type(layer).__mro__
                         if cls in LAYERS}  # yapf: disable
            elif node.op.startswith('call'):
                seen.add(FUNCTIONS.get(node.target))
    missing = {*LAYERS.values(), *FUNCTIONS.values()} - seen
    assert {row.__name__ for row in missing} <= {'same'}
    assert operator.add in FUNCTIONS
