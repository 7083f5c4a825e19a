"""Bi-Real Net and ReActNet on ResNet against a plain reference."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmreact.analysis import count_ops
from mmreact.functional import WEIGHT_BINARIZERS
from mmreact.models import BiRealNet, ReActNet, ReActResNet
from mmreact.models.backbones.binary_bottleneck import (BinaryBottleneck,
                                                        FirstBottleneck)
from mmreact.models.backbones.binary_resnet import BinaryBasicBlock


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


#: Weight and activation binarizers by name, written anew.
REFERENCE = dict(
    real=lambda x: x,
    tanh=torch.tanh,
    sign=one_bit,
    scaled_sign=lambda w: one_bit(w) * w.abs().mean((1, 2, 3), keepdim=True))


def reference_block(x, p, stride, react, weight='scaled_sign', inputs='sign'):
    """A block from its formula, with plain torch operations."""
    z = REFERENCE[inputs](x - (p['sign.alpha'].view(-1, 1, 1) if react else 0))
    y = F.conv2d(z, REFERENCE[weight](p['conv.weight']), None, stride, 1)
    y = bn(y, p, 'bn')
    if stride == 2:  # pooled, then a real convolution
        pooled = torch.stack(
            [x[:, :, i::2, j::2] for i in range(2) for j in range(2)]).mean(0)
        x = torch.einsum('oc,nchw->nohw', p['shortcut.1.weight'][:, :, 0, 0],
                         pooled)
        x = bn(x, p, 'shortcut.2')
    y = y + x
    if react:
        gamma, beta, zeta = (
            p[f'act.{key}'].view(-1, 1, 1)
            for key in ('gamma', 'beta', 'zeta'))
        y = torch.where(y > gamma, y - gamma, beta * (y - gamma)) + zeta
    return y


@pytest.mark.parametrize('width,stride', [(4, 1), (8, 2)])
@pytest.mark.parametrize('react', [False, True])
@pytest.mark.parametrize('weight,inputs', [('scaled_sign', 'sign'),
                                           ('real', 'tanh'), ('real', 'real')])
def test_block(width, stride, react, weight, inputs):
    block = BinaryBasicBlock(
        4,
        width,
        stride,
        'rprelu' if react else 'none',
        rsign=react,
        weight_binarizer=weight,
        activation_binarizer=inputs)
    randomize(block.double().eval())
    x = torch.randn(2, 4, 6, 8, dtype=torch.float64)
    x[0, 0] = 0
    with torch.no_grad():
        torch.testing.assert_close(
            block(x),
            reference_block(x, block.state_dict(), stride, react, weight,
                            inputs),
            rtol=1e-12,
            atol=1e-12)


def reference_bconv(x, p, name, stride=1):
    """Sign, scaled 1-bit convolution, BN of a bottleneck."""
    weight = p[f'{name}.1.weight']
    y = F.conv2d(
        one_bit(x), REFERENCE['scaled_sign'](weight), None, stride,
        weight.shape[-1] // 2)
    return bn(y, p, f'{name}.2')


def reference_real(x, p, name):
    """A real 1x1 convolution; BN if it has one."""
    index = max(int(key.split('.')[1]) for key in p if key.startswith(name))
    has_bn = f'{name}.{index}.running_mean' in p
    weight = p[f'{name}.{index - has_bn}.weight'][:, :, 0, 0]
    y = torch.einsum('oc,nchw->nohw', weight, x)
    return bn(y, p, f'{name}.{index}') if has_bn else y


def mean_of_four(x):
    return torch.stack(
        [x[:, :, i::2, j::2] for i in range(2) for j in range(2)]).mean(0)


def reference_bottleneck(n, w, p, style, stride):
    """Two maps in, two maps out, each convolution with its shortcut."""
    changes = 'shortcut1.0.weight' in p or 'shortcut1.1.weight' in p
    early, late = (stride, 1) if style == 'caffe' else (1, stride)
    n = mean_of_four(n) if early == 2 else n
    a = reference_bconv(w, p, 'conv1', early) + (
        reference_real(n, p, 'shortcut1') if changes else n)
    b = reference_bconv(a, p, 'conv2', late) + (
        mean_of_four(a) if late == 2 else a)
    w = mean_of_four(w) if stride == 2 else w
    c = reference_bconv(b, p, 'conv3') + (
        reference_real(w, p, 'shortcut3') if changes else w)
    return b, c


@pytest.mark.parametrize('width,stride', [(3, 1), (6, 2)])
@pytest.mark.parametrize('style', ['pytorch', 'caffe'])
def test_bottleneck(width, stride, style):
    block = BinaryBottleneck((3, 12), width, stride, style)
    p = randomize(block.double().eval()).state_dict()
    n, w = (torch.randn(2, c, 6, 4, dtype=torch.float64) for c in (3, 12))
    w[0, 0] = 0
    with torch.no_grad():
        ours = block((n, w))
    expected = reference_bottleneck(n, w, p, style, stride)
    assert [y.shape[1] for y in expected] == [width, 4 * width]
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('kind', ['real', 'sign'])
def test_first_bottleneck(kind):
    block = FirstBottleneck(4, kind)
    p = randomize(block.double().eval()).state_dict()
    x = torch.randn(2, 4, 5, 3, dtype=torch.float64) * 2
    if kind == 'real':
        clipped = torch.where(x > 1, 0.9 + 0.1 * x,
                              torch.where(x < -1, 0.1 * x - 0.9, x))
        a = reference_real(clipped, p, 'conv1')
        w = reference_real(x, p, 'shortcut3')
    else:
        a = reference_bconv(x, p, 'conv1') + x
        w = x.repeat(1, 4, 1, 1)
    b = reference_bconv(a, p, 'conv2') + a
    with torch.no_grad():
        ours = block(x)
    torch.testing.assert_close(
        ours, (b, reference_bconv(b, p, 'conv3') + w), rtol=1e-12, atol=1e-12)


class Classifier(nn.Module):

    def __init__(self, backbone, channels):
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x):
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def resnet_counts(blocks):
    """BOPs and FLOPs at 224x224 from the layer table of the paper."""
    flops = 112**2 * 64 * 3 * 49 + 512 * 1000
    bops = 0
    for i, number in enumerate(blocks):
        width, size = 64 * 2**i, 56 // 2**i
        bops += number * size**2 * width**2 * 9
        if i:  # the first convolution sees half the channels
            bops -= size**2 * width * width // 2 * 9
            flops += size**2 * width * width // 2
    return bops, flops


@pytest.mark.parametrize('network', [BiRealNet, ReActResNet])
@pytest.mark.parametrize('depth,blocks', [(18, (4, 4, 4, 4)),
                                          (34, (6, 8, 12, 6))])
def test_counts(network, depth, blocks):
    report = count_ops(Classifier(network(depth), 512), (3, 224, 224))
    assert (report.bops, report.flops) == resnet_counts(blocks)
    # As printed: 1.68e9 / 1.63e8 and 3.53e9 / 1.93e8.
    assert report.bops == pytest.approx(1.68e9 if depth == 18 else 3.53e9,
                                        0.005)
    assert report.ops == pytest.approx(1.63e8 if depth == 18 else 1.93e8, 0.01)


def bottleneck_counts(blocks, style, first_block):
    """BOPs and FLOPs at 224x224 of stem, bottlenecks and classifier."""
    flops = 112**2 * 64 * 3 * 49 + 2048 * 1000
    bops, narrow, wide, size = 0, 64, 64, 56
    for i, number in enumerate(blocks):
        for j in range(number):
            width, before = 64 * 2**i, size
            if i and j == 0:
                size //= 2
            middle = size if style == 'caffe' else before
            first = middle**2 * wide * width
            shortcuts = (
                middle**2 * narrow * width * (narrow != width) +
                size**2 * wide * 4 * width * (wide != 4 * width))
            if i == j == 0 and first_block == 'real':
                first, shortcuts = 0, first + shortcuts
            elif i == j == 0:
                shortcuts = 0
            bops += first + size**2 * (9 * width**2 + 4 * width**2)
            flops += shortcuts
            narrow, wide = width, 4 * width
    return bops, flops


@pytest.mark.parametrize('depth,blocks,style,first_block', [
    (50, (3, 4, 6, 3), 'pytorch', 'real'),
    (152, (3, 8, 36, 3), 'caffe', 'sign'),
])
def test_counts_of_bottlenecks(depth, blocks, style, first_block):
    report = count_ops(Classifier(BiRealNet(depth), 2048), (3, 224, 224))
    assert (report.bops,
            report.flops) == bottleneck_counts(blocks, style, first_block)
    if depth == 152:  # printed: 10.7e9, 4.48e8, 6.15e8
        assert report.bops == pytest.approx(10.7e9, 0.01)
        assert report.flops == pytest.approx(4.48e8, 0.001)
        assert report.ops == pytest.approx(6.15e8, 0.003)


@pytest.mark.parametrize('arch,flops', [('a', 11_862_016), ('b', 43_974_656),
                                        ('c', 140_312_576)])
def test_counts_of_reactnet_b_and_c(arch, flops):
    """Five pairs of 1x1 convolutions are real: 128,450,560 MACs / groups."""
    report = count_ops(Classifier(ReActNet(arch), 1024), (3, 224, 224))
    pairs = sum(2 * c * c * size**2
                for c, size in ((32, 112), (64, 56), (128, 28), (256, 14),
                                (512, 7)))
    assert pairs == 128_450_560
    groups = dict(b=4, c=1).get(arch)
    assert report.bops == 4_816_896_000 - (pairs if groups else 0)
    assert report.flops == flops == 11_862_016 + (
        pairs // groups if groups else 0)


@pytest.mark.parametrize('options', [
    dict(arch='b'),
    dict(arch='c'),
    dict(arch='b', expansion_input='real'),
    dict(arch='c', expansion='conv'),
])
def test_variants_of_b_and_c_train(options):
    net = ReActNet(**options)
    net(torch.randn(2, 3, 32, 32))[-1].square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
    doubling = [
        block for stage in net.stages for block in stage
        if block.conv2[0].in_channels != block.act2.num_channels
    ]
    assert len(doubling) == 5
    for block in doubling:
        assert type(block.conv2[0]) is nn.Conv2d
        assert block.conv2[0].groups == (4 if options['arch'] == 'b' else 1)


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match='expansion_groups=3 does not divide'):
        ReActNet('b', expansion_groups=3)


@pytest.mark.parametrize('size,sides', [((64, 96), (2, 3)),
                                        ((33, 65), (2, 3))])
@pytest.mark.parametrize('network', [BiRealNet, ReActResNet])
def test_shapes_gradients_and_stages(network, size, sides):
    options = dict(base_channels=8, out_indices=(0, -1))
    nets = [
        network(
            18, weight_binarizer=name, activation_binarizer=inputs, **options)
        for name, inputs in [('real', 'real'), (
            'real', 'tanh'), *[(name, 'sign') for name in WEIGHT_BINARIZERS]]
    ]
    state = nets[0].state_dict()
    for net in nets:
        net.load_state_dict(state)
        first, last = net(torch.randn(2, 3, *size))
        assert first.shape[1] == 8 and last.shape == (2, 64, *sides)
        (first.sum() + last.square().sum()).backward()
        assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize('options', [
    dict(depth=50),
    dict(depth=50, style='caffe', first_block='sign', rsign=True),
    dict(depth=152, activation='rprelu', small_input=True),
])
def test_bottlenecks_train(options):
    net = BiRealNet(**options, base_channels=4, out_indices=(0, 3))
    size = 32 if options.get('small_input') else 65
    first, last = net(torch.randn(2, 3, size, size))
    assert first.shape[1] == 16 and last.shape[1] == 128
    (first.sum() + last.square().sum()).backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize('network,options,words', [
    (BiRealNet, dict(depth=20), 'Unknown depth 20. Known: 18, 34, 50, 152'),
    (ReActResNet, dict(depth=50), 'Unknown depth 50. Known: 18, 34'),
    (BiRealNet, dict(depth=50, style='tf'), "style 'tf'. Known: 'pytorch'"),
    (BiRealNet, dict(depth=50,
                     first_block='x'), "first_block 'x'. Known: 're"),
    (BiRealNet, dict(depth=18, style='caffe'), 'depth 18 has none'),
    (ReActResNet, dict(first_block='sign'), 'depth 18 has none'),
])
def test_wrong_options(network, options, words):
    with pytest.raises(ValueError, match=words):
        network(**options)


def test_input_too_small():
    with pytest.raises(ValueError, match='BiRealNet divides.*by 32'):
        BiRealNet(18, base_channels=8)(torch.randn(1, 3, 16, 16))
    net = BiRealNet(18, base_channels=8, small_input=True).eval()
    assert net(torch.randn(1, 3, 8, 8))[0].shape == (1, 64, 1, 1)
