"""MeliusNet against blocks written from the paper and the authors' counts."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmreact.analysis import count_ops
from mmreact.functional import WEIGHT_BINARIZERS
from mmreact.layers import BinaryConv2d, RSign
from mmreact.models import MeliusNet
from mmreact.models.backbones.meliusnet import MeliusBlock

SMALL = dict(
    arch=dict(blocks=(1, 2, 1), widths=(16, 8)), stem_channels=16, growth=8)


def randomize(module):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
            if name.endswith('running_var'):
                tensor.abs_().add_(0.1)
    return module


def bn(x, p, name):
    """Batch normalisation in eval mode, written out."""
    mean, var, weight, bias = (
        p[f'{name}.{key}'].view(-1, 1, 1)
        for key in ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def one_bit(x):
    return (x > 0).double() * 2 - 1


def reference_dense(x, p, name):
    """A dense block: its convolution's channels behind those it got."""
    y = one_bit(bn(x, p, f'{name}.0'))
    y = F.conv2d(y, one_bit(p[f'{name}.2.weight']), padding=1)
    return torch.cat([x, y], 1)


def reference_improve(x, p, name):
    """An improvement block: added to the last channels, the rest stays."""
    y = one_bit(bn(x, p, f'{name}.0'))
    y = F.conv2d(y, one_bit(p[f'{name}.2.weight']), padding=1)
    x = x.clone()
    x[:, -y.shape[1]:] += y
    return x


def reference_transition(x, p, name, parts=(0, 3)):
    """BN, 2x2 max pooling, ReLU, real 1x1 convolution."""
    x = bn(x, p, f'{name}.{parts[0]}')
    h, w = (size // 2 * 2 for size in x.shape[2:])
    x = torch.stack(
        [x[:, :, i:h:2, j:w:2] for i in range(2) for j in range(2)]).amax(0)
    weight = p[f'{name}.{parts[1]}.weight'][:, :, 0, 0]
    return torch.einsum('oc,nchw->nohw', weight, x.clamp(min=0))


def test_block():
    block = randomize(MeliusBlock(6, 4).double().eval())
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    p = block.state_dict()
    y = reference_improve(reference_dense(x, p, 'dense'), p, 'improve')
    with torch.no_grad():
        ours = block(x)
    torch.testing.assert_close(ours, y, rtol=1e-12, atol=1e-12)
    # Without a shift after BN an input of 0 gives sign(0) = -1.
    block.dense[0].running_mean.zero_()
    nn.init.zeros_(block.dense[0].bias)
    with torch.no_grad():
        assert (block.dense[:2](torch.zeros_like(x)) == -1).all()


@pytest.mark.parametrize('small_input', [False, True])
def test_network(small_input):
    """Stem, blocks, transitions and end in order; an odd size on the way."""
    net = MeliusNet(**SMALL, small_input=small_input).double().eval()
    p = randomize(net).state_dict()
    x = torch.randn(1, 3, 40, 24, dtype=torch.float64)
    if small_input:
        y = F.conv2d(x, p['stem.0.weight'], padding=1)
    else:
        y = x
        for i, (stride, groups) in enumerate([(2, 1), (1, 4), (1, 8)]):
            y = F.conv2d(
                y, p[f'stem.{3 * i}.weight'], None, stride, 1, groups=groups)
            y = bn(y, p, f'stem.{3 * i + 1}').clamp(min=0)
        y = F.max_pool2d(y, 3, 2, 1)
    for i, number in enumerate(SMALL['arch']['blocks']):
        if i:
            y = reference_transition(y, p, f'stages.{i}')
        first = 4 if i else 0
        for j in range(first, first + number):
            y = reference_dense(y, p, f'stages.{i}.{j}.dense')
            y = reference_improve(y, p, f'stages.{i}.{j}.improve')
    y = bn(y, p, 'stages.2.5').clamp(min=0)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[0], y, rtol=1e-9, atol=1e-9)
    assert y.shape[1] == net.out_channels == 16


class Classifier(nn.Module):

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.out_channels, 1000)

    def forward(self, x):
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def melius_counts(blocks, widths):
    """BOPs, FLOPs without fc, and 1-bit weights from the layer table."""
    flops = 112**2 * 9 * (3 * 32 + 32 * 32 // 4 + 32 * 64 // 8)
    bops = one_bit_params = 0
    channels, size = 64, 56
    for i, number in enumerate(blocks):
        if i:
            size //= 2
            flops += size**2 * channels * widths[i - 1]
            channels = widths[i - 1]
        for _ in range(number):
            weights = 9 * 64 * (channels + channels + 64)
            one_bit_params += weights
            bops += size**2 * weights
            channels += 64
    return bops, flops, one_bit_params, channels


# arch, blocks, widths, and as the authors log them: parameters, 1-bit weights,
# BOPs and FLOPs (without fc).
TABLE = [
    (22, (4, 5, 4, 4), (160, 224, 256), 6_944_584, 6_119_424, 4.62e9,
     135.88e6),
    (29, (4, 6, 8, 6), (128, 192, 256), 11_328_328, 10_321_920, 5.47e9,
     128.85e6),
    (42, (5, 8, 14, 10), (160, 256, 416), 26_825_544, 24_956_928, 9.69e9,
     174.01e6),
    (59, (6, 12, 24, 12), (192, 320, 544), 55_555_336, 52_641_792, 18.32e9,
     245.76e6),
]


@pytest.mark.parametrize('arch,blocks,widths,params,one_bit,bops,flops', TABLE)
def test_counts(arch, blocks, widths, params, one_bit, bops, flops):
    net = Classifier(MeliusNet(arch))
    report = count_ops(net, (3, 224, 224))
    counted = melius_counts(blocks, widths)
    fc = 1000 * counted[3]
    assert (report.bops, report.flops - fc,
            report.one_bit_params) == counted[:3]
    assert (report.params, report.one_bit_params) == (params, one_bit)
    assert report.bops == pytest.approx(bops, abs=0.005e9)
    assert report.flops - fc == pytest.approx(flops, abs=0.005e6)


@pytest.mark.parametrize('name', WEIGHT_BINARIZERS)
def test_stages_share_parameters(name):
    state = MeliusNet(**SMALL, weight_binarizer='real').state_dict()
    net = MeliusNet(**SMALL, weight_binarizer=name)
    net.load_state_dict(state, strict=True)
    convs = [m for m in net.modules() if isinstance(m, BinaryConv2d)]
    assert [conv.weight_binarizer for conv in convs] == [name] * 8


@pytest.mark.parametrize('options', [
    {},
    dict(weight_binarizer='real'),
    dict(activation_binarizer='tanh'),
    dict(small_input=True, in_channels=1),
])
def test_gradients_and_outputs(options):
    torch.manual_seed(0)
    net = MeliusNet(**SMALL, **options, out_indices=(0, -1))
    size = 16 if options.get('small_input') else 64
    first, last = net(
        torch.randn(2, options.get('in_channels', 3), size, size))
    assert first.shape == (2, 24, 16, 16) and last.shape == (2, 16, 4, 4)
    (first.square().sum() + last.square().sum()).backward()
    assert not [
        name for name, p in net.named_parameters()
        if p.grad is None or not p.grad.any()
    ]
    signs = [m for m in net.modules() if isinstance(m, RSign)]
    assert {sign.binarizer
            for sign in signs
            } == {options.get('activation_binarizer', 'sign')}


def test_gradient_of_the_sign_is_clipped_at_1_3():
    sign = MeliusNet(**SMALL).stages[0][0].dense[1]
    x = torch.tensor([-1.31, -1.3, 0., 1.3, 1.31]).requires_grad_()
    sign(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_frozen_stages():
    net = MeliusNet(**SMALL, frozen_stages=2).train()
    for i, module in enumerate([net.stem, *net.stages]):
        assert {p.requires_grad for p in module.parameters()} == {i > 2}


@pytest.mark.parametrize('options,words', [
    (dict(arch=23), ['Unknown arch 23', '22, 29, 42, 59']),
    (dict(arch=dict(blocks=(1, 1))), ['one width fewer', '(1, 1)']),
    (dict(arch=dict(blocks=(1, 1), widths=(8, 8))), ['one width fewer']),
    (dict(arch=dict(blocks=(), widths=())), ['one width fewer']),
    (dict(stem_channels=40), ['multiple of 16', '40']),
    (dict(estimator='x'), ['estimator', 'clip']),
    (dict(weight_binarizer='x'), ['weight binarizer', 'sign']),
    (dict(activation_binarizer='x'), ['activation binarizer', 'real']),
    (dict(out_indices=(3, )), ['out_indices', '-3', '2']),
])
def test_wrong_options(options, words):
    with pytest.raises(ValueError) as error:
        MeliusNet(**{**SMALL, **options})
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize('small_input,size', [(False, 16), (True, 4)])
def test_too_small_input(small_input, size):
    net = MeliusNet(**SMALL, small_input=small_input).eval()
    assert net(torch.zeros(1, 3, size, size))[0].shape == (1, 16, 1, 1)
    with pytest.raises(ValueError, match=f'divides.*by {size}.*too small'):
        net(torch.zeros(1, 3, size, size - 1))
