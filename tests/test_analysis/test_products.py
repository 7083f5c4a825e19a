"""What runs is counted, however it is written, and whatever training does."""
import json

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from mmreact.analysis import count_ops
from mmreact.functional import WEIGHT_BINARIZERS, sign
from mmreact.functional.binarizers import WeightBinarizer
from mmreact.layers import (ActivationScale, BinaryConv2d, BinaryLinear,
                            LearnedScale, RSign)

SHAPE = (4, 8, 8)
PIXELS = 64


def parameter(*shape):
    return nn.Parameter(
        torch.linspace(-1, 1.1,
                       torch.Size(shape).numel()).view(shape))


class Net(nn.Module):
    """Parameters by name, and a forward."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            if isinstance(part,
                          torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def rows(report):
    return [(row.name, row.type, row.macs, row.params)
            for row in report.layers]


# A forward and its parts -> rows of name, type, MACs and parameters.
FUNCTIONAL = {
    'conv2d': (lambda m, x: F.conv2d(x, m.w, m.b, padding=1),
               dict(w=parameter(6, 4, 3, 3),
                    b=parameter(6)), [('w', 'conv2d', PIXELS * 216, 222)]),
    'conv1d': (lambda m, x: F.conv1d(x.flatten(2), m.w),
               dict(w=parameter(2, 4, 3)), [('w', 'conv1d', 62 * 24, 24)]),
    'conv_transpose2d':
    (lambda m, x: F.conv_transpose2d(x, m.w, stride=2),
     dict(w=parameter(4, 2, 3, 3)), [('w', 'conv2d', PIXELS * 72, 72)]),
    'linear': (lambda m, x: F.linear(x, m.w, m.b),
               dict(w=parameter(3, 8),
                    b=parameter(3)), [('w', 'matmul', 32 * 24, 27)]),
    'matmul': (lambda m, x: x @ m.w, dict(w=parameter(8, 5)), [('w', 'matmul',
                                                                32 * 40, 40)]),
    'weights first': (lambda m, x: m.w @ x, dict(w=parameter(5, 8)),
                      [('w', 'matmul', 32 * 40, 40)]),
    'bmm': (lambda m, x: torch.bmm(x[0], m.w), dict(w=parameter(4, 8, 3)),
            [('w', 'matmul', 4 * 8 * 24, 96)]),
    'einsum': (lambda m, x: torch.einsum('nchw,ck->nkhw', x, m.w),
               dict(w=parameter(4, 6)), [('w', 'matmul', PIXELS * 24, 24)]),
    'tensordot': (lambda m, x: torch.tensordot(x, m.w, ([1], [0])),
                  dict(w=parameter(4, 6)), [('w', 'matmul', PIXELS * 24, 24)]),
    'addmm': (lambda m, x: torch.addmm(m.b, x.flatten(1), m.w),
              dict(w=parameter(256, 3),
                   b=parameter(3)), [('w', 'matmul', 768, 771)]),
    'baddbmm': (lambda m, x: torch.baddbmm(m.b, x[0], m.w),
                dict(w=parameter(4, 8, 3),
                     b=parameter(4, 8, 3)), [('w', 'matmul', 768, 192)]),
    'mv': (lambda m, x: torch.mv(m.w, x.flatten()), dict(w=parameter(3, 256)),
           [('w', 'matmul', 768, 768)]),
    'a slice': (lambda m, x: F.linear(x, m.w[:3]), dict(w=parameter(9, 8)),
                [('w', 'matmul', 32 * 24, 72)]),
    'its forward': (lambda m, x: m.fc.forward(x), dict(fc=nn.Linear(8, 3)),
                    [('fc', 'Linear', 32 * 24, 27)]),
    'the weight of a layer':
    (lambda m, x: F.linear(x, m.fc.weight * 2), dict(fc=nn.Linear(8, 3)),
     [('fc', 'Linear', 32 * 24, 27)]),
    'a buffer': (lambda m, x: F.conv2d(x, m.k, groups=4),
                 dict(k=torch.rand(4, 1, 3, 3)), [('k', 'conv2d', 36 * 36, 0)
                                                  ]),
    'a list':
    (lambda m, x: F.linear(F.linear(x, m.ws[0]), m.ws[1]),
     dict(ws=nn.ParameterList([parameter(
         5, 8), parameter(2, 5)])), [('ws.0', 'matmul', 32 * 40, 40),
                                     ('ws.1', 'matmul', 32 * 10, 10)]),
    'a product of parameters': (lambda m, x: F.linear(x, m.a @ m.b),
                                dict(a=parameter(6, 2), b=parameter(2, 8)),
                                [('matmul', 'matmul', 32 * 48, 28)]),
    'weights of the image':
    (lambda m, x: F.conv2d(x,
                           x.mean((2, 3)).view(1, 4, 1, 1) * m.w),
     dict(w=parameter(6, 4, 3, 3)), [('conv2d', 'conv2d', 36 * 216, 0)]),
}


@pytest.mark.parametrize('case', FUNCTIONAL)
def test_functions(case):
    forward, parts, expected = FUNCTIONAL[case]
    report = count_ops(Net(forward, **parts), SHAPE)
    assert rows(report) == expected
    assert report.flops == sum(row[2] for row in expected)


def test_what_a_plain_tensor_holds_counts():
    weight = torch.rand(3, 8)
    report = count_ops(Net(lambda m, x: F.linear(x, weight)), SHAPE)
    assert rows(report) == [('matmul', 'matmul', 768, 0)]


def pruned():
    layer = nn.Conv2d(4, 2, 3)
    prune.random_unstructured(layer, 'weight', 0.5)
    return layer


# Layers whose weight is computed: one row of the layer, 36 * 72 MACs.
COMPUTED = dict(
    weight_norm=lambda: weight_norm(nn.Conv2d(4, 2, 3)),
    spectral_norm=lambda: spectral_norm(nn.Conv2d(4, 2, 3)),
    pruning=pruned,
    parametrized=lambda: parametrizations.weight_norm(nn.Conv2d(4, 2, 3)),
    spectral=lambda: parametrizations.spectral_norm(nn.Conv2d(4, 2, 3)))


@pytest.mark.filterwarnings('ignore:.*weight_norm.*:FutureWarning')
@pytest.mark.parametrize('case', COMPUTED)
def test_computed_weights(case):
    report = count_ops(nn.Sequential(COMPUTED[case]()), SHAPE)
    row, = report.layers
    assert (row.name, row.macs) == ('0', 36 * 72)
    assert row.params == report.params and not report.uncovered


def test_attention():
    """A fused layer of torch: its four matrices, and its two products."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    report = count_ops(Net(lambda m, x: m.layer(x[:, 0]), layer=layer), SHAPE)
    assert rows(report) == [('layer.self_attn.in_proj_weight', 'matmul',
                             8 * 192, 216),
                            ('layer.self_attn.out_proj',
                             'NonDynamicallyQuantizableLinear', 8 * 64, 72),
                            ('layer.linear1', 'Linear', 8 * 128, 144),
                            ('layer.linear2', 'Linear', 8 * 128, 136)]
    assert report.beside == dict(activations=2 * 8 * 8 * 8)
    assert 'Not counted: 1,024 MACs in products of two' in report.table()
    assert torch.backends.mha.get_fastpath_enabled()


def test_vit():
    report = count_ops(torchvision.models.vit_b_32(), (3, 224, 224))
    tokens, width = 50, 768
    layer = tokens * width * (3 * width + width + 2 * 3072)
    assert report.flops == 49 * 3 * 32**2 * width + 12 * layer + 1000 * width
    assert report.flops == 4_363_106_304
    assert report.beside == dict(activations=12 * 2 * tokens**2 * width)
    assert [(w.name, w.read)
            for w in report.uncovered] == [('class_token', True),
                                           ('encoder.pos_embedding', True)]


@pytest.mark.parametrize('kind', ['LSTM', 'GRU', 'RNN'])
def test_recurrent_layers(kind):
    layer = getattr(nn, kind)(8, 5, batch_first=True)
    report = count_ops(Net(lambda m, x: m.r(x[:, 0])[0], r=layer), SHAPE)
    gates = dict(LSTM=4, GRU=3, RNN=1)[kind]
    assert report.layers[0].macs == 8 * gates * 8 * 5
    # The first step starts at 0, in all of them but the fused one.
    steps = report.layers[1].macs // (gates * 25)
    assert steps + report.beside.get('weights', 0) // (gates * 25) == 8
    assert not report.uncovered


def test_what_does_not_count():
    net = Net(
        lambda m, x: F.linear(x, m.w @ m.w) + m.scale(x).mean() + m.table[0] *
        x.flatten(2) @ x.flatten(2).mT,
        w=parameter(8, 8),
        scale=ActivationScale(3, padding=1),
        table=parameter(3, 1),
        unused=parameter(2, 3))
    report = count_ops(net, (1, 8, 8))
    assert rows(report) == [('w', 'matmul', 8 * 64, 64)]
    assert report.beside == dict(
        weights=512, constants=PIXELS * 9, activations=PIXELS)
    assert [(w.name, w.shape, w.read)
            for w in report.uncovered] == [('table', (3, 1), True),
                                           ('unused', (2, 3), False)]
    assert report.table().endswith(
        'Weights of two or more dimensions that are in no row:\n'
        '  table (3x1): used in no counted product\n  unused (2x3): not used')
    data = json.loads(json.dumps(report.to_dict()))
    assert data['uncovered'][1] == dict(
        name='unused', shape=[2, 3], read=False)
    assert data['beside'] == report.beside and data['unknown'] == {}


def test_foreign_operations_are_named():
    with torch.library._scoped_library('counted_by_nobody', 'DEF') as library:
        library.define('twice(Tensor x, Tensor w) -> Tensor')
        library.impl('twice', lambda x, w: 2 * x @ w,
                     'CompositeExplicitAutograd')
        net = Net(
            lambda m, x: torch.ops.counted_by_nobody.twice(x, m.w),
            w=parameter(8, 3))
        report = count_ops(net, SHAPE)
    assert report.unknown == {'counted_by_nobody.twice': 1}
    assert [w.name for w in report.uncovered] == ['w']
    assert 'calls of counted_by_nobody.twice' in report.table()


def plain():
    return nn.Sequential(
        nn.Conv2d(4, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))


WRAPPED = dict(
    scripted=torch.jit.script,
    frozen=lambda m: torch.jit.freeze(torch.jit.script(m.eval())),
    traced=lambda m: torch.jit.trace(m, torch.ones(1, *SHAPE)),
    fx=torch.fx.symbolic_trace,
    exported=lambda m: torch.export.export(m,
                                           (torch.ones(1, *SHAPE), )).module(),
    compiled=torch.compile,
    part=lambda m: nn.Sequential(torch.compile(m[0]), *m[1:]))


@pytest.mark.filterwarnings('ignore:.*torch.jit.*')
@pytest.mark.parametrize('kind', WRAPPED)
def test_other_forms_of_a_model(kind):
    report = count_ops(WRAPPED[kind](plain()), SHAPE)
    assert [row.macs for row in report.layers] == [36 * 72, 216]
    assert report.flops == 36 * 72 + 216 and not report.uncovered
    if kind in ('compiled', 'part'):
        assert [row.name for row in report.layers] == ['0', '3']


@pytest.mark.filterwarnings('ignore:.*torch.jit.*')
def test_what_cannot_be_counted():
    hidden = torch.jit.optimize_for_inference(torch.jit.script(plain().eval()))
    with pytest.raises(ValueError, match='optimize_for_inference'):
        count_ops(hidden, SHAPE)
    with pytest.raises(TypeError, match=r'ExportedProgram, give its module'):
        count_ops(
            torch.export.export(plain(), (torch.ones(1, *SHAPE), )), SHAPE)
    with pytest.raises(ValueError, match='Call it once'):
        count_ops(nn.LazyLinear(3), SHAPE)
    with pytest.raises(ValueError, match='meta device'):
        count_ops(nn.Conv2d(4, 2, 3, device='meta'), SHAPE)


class SignWithDetachedParts(nn.Module):
    """How public code gives a sign another gradient."""

    def forward(self, x):
        smooth = torch.tanh(x)
        return torch.sign(x).detach() - smooth.detach() + smooth


class FlatSignConv(nn.Module):
    """How public code binarizes the weights that it convolves with."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.rand(2 * 4 * 9, 1) * 1e-3 - 5e-4)

    def forward(self, x):
        w = self.weights.view(2, 4, 3, 3)
        scale = w.abs().mean((1, 2, 3), keepdim=True).detach()
        used = scale * torch.sign(w)
        clipped = w.clamp(-1, 1)
        return F.conv2d(x, used.detach() - clipped.detach() + clipped)


def layer(forward):
    return Net(lambda m, x: forward(x))


# What is in front of a 1-bit 3x3 convolution -> whether it is binary.
SOURCES = {
    'RSign': (lambda: RSign(4), True),
    'plain sign': (lambda: RSign(4, learnable=False), True),
    'tanh that saturates': (lambda: nn.Sequential(
        layer(lambda x: 1e4 * x), RSign(4, binarizer='tanh')), False),
    'hardtanh that saturates':
    (lambda: layer(lambda x: F.hardtanh(1e6 * x)), False),
    'functional': (lambda: layer(sign), True),
    'torch.sign': (lambda: layer(torch.sign), True),
    'in place': (lambda: layer(lambda x: x.clone().sign_()), True),
    'where': (lambda: layer(lambda x: torch.where(x > 0, 1., -1.)), True),
    'where of tensors': (lambda: layer(lambda x: torch.where(
        x >= 0, torch.ones_like(x), -torch.ones_like(x))), True),
    'comparison': (lambda: layer(lambda x: (x > 0).float() * 2 - 1), True),
    'filled':
    (lambda: layer(lambda x: torch.ones_like(x).masked_fill(x < 0, -1)), True),
    'detached parts': (SignWithDetachedParts, True),
    'parts that differ':
    (lambda: layer(lambda x: torch.sign(x) - x.tanh() + x), False),
    'sign behind a ReLU':
    (lambda: nn.Sequential(nn.ReLU(), layer(torch.sign)), False),
    'RSign behind a ReLU': (lambda: nn.Sequential(nn.ReLU(), RSign(4)), True),
    '0 and 1': (lambda: layer(lambda x: (x > 0).float()), False),
    'halves': (lambda: layer(lambda x: sign(x) / 2), False),
    'times 1': (lambda: layer(lambda x: sign(x) * 1.), True),
    'a learned scale of 1':
    (lambda: nn.Sequential(RSign(4), LearnedScale(4, (8, 8))), False),
    'max pooling': (lambda: nn.Sequential(RSign(4), nn.MaxPool2d(3, 1, 1)),
                    True),
    'average pooling': (lambda: nn.Sequential(RSign(4), nn.AvgPool2d(3, 1, 1)),
                        False),
    'padded with 0': (lambda: nn.Sequential(RSign(4), nn.ZeroPad2d(1)), False),
    'padded with 1': (lambda: nn.Sequential(RSign(4), nn.ConstantPad2d(1, 1.)),
                      True),
    'shuffled': (lambda: nn.Sequential(RSign(4), nn.ChannelShuffle(2)), True),
    'a view': (lambda: nn.Sequential(
        RSign(4),
        layer(lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
    ), True),
    'concatenated': (lambda: layer(lambda x: torch.cat(
        [sign(x[:, :2]), sign(x[:, 2:])], 1)), True),
    'half of it':
    (lambda: layer(lambda x: torch.cat([sign(x[:, :2]), x[:, 2:]], 1)), False),
    'in place, times signs':
    (lambda: layer(lambda x: torch.ones_like(x).mul_(sign(x))), True),
    'a part of it overwritten': (lambda: layer(overwritten), False),
    'a sum': (lambda: layer(lambda x: sign(x) + sign(-x)), False),
    'a residual sum': (lambda: layer(lambda x: sign(x) + x), False),
    'dropout': (lambda: nn.Sequential(RSign(4), nn.Dropout(0.5)), True),
}


def overwritten(x):
    y = sign(x)
    y[:, 0] = x[:, 0]
    return y


@pytest.mark.parametrize('case', SOURCES)
def test_one_bit_inputs(case):
    """The image, and weights at their start, are no proof."""
    make, binary = SOURCES[case]
    net = nn.Sequential(make(), BinaryConv2d(4, 2, 3))
    row = count_ops(net, SHAPE).layers[-1]
    assert (row.binary, row.one_bit_params) == (binary, 72)


def test_hooks_are_seen():
    net = nn.Sequential(RSign(4), BinaryConv2d(4, 2, 3))
    net[0].register_forward_hook(lambda module, args, out: out * 0.5)
    assert count_ops(net, SHAPE).bops == 0


class Overridden(BinaryConv2d):

    def forward(self, x):
        return F.conv2d(x, self.weight)


# A convolution on signs, 36 * 72 MACs -> whether it is binary.
WEIGHTS = {
    'scaled_sign': (lambda: BinaryConv2d(4, 2, 3), True),
    'sign': (lambda: BinaryConv2d(4, 2, 3, weight_binarizer='sign'), True),
    'xnor_sign':
    (lambda: BinaryConv2d(4, 2, 3, weight_binarizer='xnor_sign'), True),
    'real': (lambda: BinaryConv2d(4, 2, 3, weight_binarizer='real'), False),
    'a convolution': (lambda: nn.Conv2d(4, 2, 3, bias=False), False),
    'overridden': (lambda: Overridden(4, 2, 3), False),
    'public code': (FlatSignConv, True),
    'a function':
    (lambda: Net(lambda m, x: F.conv2d(x, sign(m.w)), w=parameter(2, 4, 3, 3)),
     True),
    'a learned scale': (lambda: Net(
        lambda m, x: F.conv2d(x, m.a * torch.sign(m.w)),
        w=parameter(2, 4, 3, 3),
        a=parameter(2, 1, 1, 1)), True),
    'a scale for each tap': (lambda: Net(
        lambda m, x: F.conv2d(x, m.a * torch.sign(m.w)),
        w=parameter(2, 4, 3, 3),
        a=nn.Parameter(torch.ones(1, 1, 3, 3))), False),
    'three values': (lambda: Net(
        lambda m, x: F.conv2d(x, torch.sign(F.relu(m.w))),
        w=parameter(2, 4, 3, 3)), False),
}


@pytest.mark.parametrize('case', WEIGHTS)
def test_one_bit_weights(case):
    make, binary = WEIGHTS[case]
    report = count_ops(nn.Sequential(RSign(4), make()), SHAPE)
    row, = report.layers
    assert (row.binary, row.macs) == (binary, 36 * 72)
    assert report.one_bit_params == row.one_bit_params == 72 * binary
    # One word of 64 bits an output channel and tap.
    assert report.packed_bytes == (2 * 9 * 8 + 4 *
                                   (report.params - 72) if binary else 4 *
                                   report.params)


def test_a_binarizer_of_ones_own(monkeypatch):
    """What is declared 1-bit has to be."""

    def magnitude(weight):
        scale = weight.abs().amax((1, 2, 3), keepdim=True)
        return torch.where(weight > weight.mean(), scale, -scale)

    for function, binary in ((magnitude, True), (torch.tanh, False)):
        monkeypatch.setitem(WEIGHT_BINARIZERS, 'own',
                            WeightBinarizer(function, one_bit=True))
        net = nn.Sequential(
            RSign(4), BinaryConv2d(4, 2, 3, weight_binarizer='own'))
        assert count_ops(net, SHAPE).layers[0].binary == binary


@pytest.mark.parametrize('make', [
    lambda: [
        RSign(4),
        BinaryConv2d(4, 4, 3),
        LearnedScale(4, (6, 6)),
        RSign(4),
        LearnedScale(4, (6, 6)),
        BinaryConv2d(4, 2, 3)
    ],
    lambda: [SignWithDetachedParts(), FlatSignConv()],
    lambda: [RSign(4), nn.Flatten(),
             BinaryLinear(256, 3)],
    lambda:
    [nn.Hardtanh(), BinaryConv2d(4, 2, 1),
     nn.ReLU(), RSign(2)],
    lambda: [nn.BatchNorm2d(4),
             RSign(4), nn.Conv2d(4, 2, 1)],
])
@pytest.mark.parametrize('change', [
    lambda p: p.mul_(1.5),
    lambda p: p.add_(0.25),
    lambda p: p.zero_(),
    lambda p: p.fill_(1),
    lambda p: p.copy_(torch.sign(p)),
])
def test_training_moves_no_count(make, change):
    """Whatever becomes of the weights, the same operations run."""
    net = nn.Sequential(*make())
    before = count_ops(net, SHAPE)
    with torch.no_grad():
        for p in net.parameters():
            change(p)
    assert count_ops(net, SHAPE) == before
