"""XNOR-Net against plain torch operations and its layer table."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmreact.analysis import count_ops
from mmreact.layers import ActivationScale, BinaryConv2d
from mmreact.models import XNORAlexNet, XNORResNet
from mmreact.models.backbones.xnor_net import XNORBasicBlock, XNORConv

WIDTHS = (4, 6, 5, 3, 4, 8, 7)
TOLERANCE = dict(rtol=1e-12, atol=1e-12)


def randomize(module):
    """In float64 and eval mode, everything drawn at random."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.double().eval().state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
            if name.endswith('running_var'):
                tensor.abs_().add_(0.1)
    return module


def draw(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def bn(x, p, name, eps):
    """Batch normalisation in eval mode, written out."""
    mean, var, weight, bias = (
        p[f'{name}.{key}'].view(-1, 1, 1)
        for key in ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / (var + eps).sqrt() * weight + bias


def reference_conv(x, p, name, stride=1, padding=0, eps=1e-5, scaled=False):
    """BN -> sign -> 1-bit convolution -> scale, from the formulas."""
    x = bn(x, p, f'{name}bn', eps)
    weight = p[f'{name}conv.weight']
    alpha = weight.abs().mean((1, 2, 3)).view(-1, 1, 1)
    signs = [(t > 0).double() * 2 - 1 for t in (x, weight)]
    y = F.conv2d(*signs, None, stride, padding) * alpha
    if scaled:
        kernel = weight.shape[-1]
        mean = x.abs().sum(1, keepdim=True) / x.shape[1]
        y = y * F.avg_pool2d(mean, kernel, stride, padding)
    return y


@pytest.mark.parametrize('kernel,stride,padding', [(3, 1, 1), (3, 2, 1),
                                                   (5, 1, 2), (1, 1, 0),
                                                   (4, 1, 0)])
@pytest.mark.parametrize('scaled', [False, True])
def test_conv(kernel, stride, padding, scaled):
    layer = randomize(
        XNORConv(
            3, 4, kernel, stride, padding, eps=0.01, activation_scale=scaled))
    x = draw(2, 3, 6, 7)
    with torch.no_grad():
        torch.testing.assert_close(
            layer(x),
            reference_conv(x, layer.state_dict(), '', stride, padding, 0.01,
                           scaled), **TOLERANCE)


@pytest.mark.parametrize('width,stride', [(4, 1), (8, 2), (6, 1), (4, 2)])
@pytest.mark.parametrize('scaled', [False, True])
def test_block(width, stride, scaled):
    block = randomize(
        XNORBasicBlock(4, width, stride, activation_scale=scaled))
    p, x = block.state_dict(), draw(2, 4, 6, 8)
    y = reference_conv(x, p, 'conv1.', stride, 1, scaled=scaled)
    y = reference_conv(y, p, 'conv2.', 1, 1, scaled=scaled)
    shortcut = x
    if width != 4 or stride != 1:
        shortcut = torch.einsum('oc,nchw->nohw', p['shortcut.0.weight'][:, :,
                                                                        0, 0],
                                x[:, :, ::stride, ::stride])
        shortcut = bn(shortcut, p, 'shortcut.1', 1e-5)
    with torch.no_grad():
        torch.testing.assert_close(block(x), y + shortcut, **TOLERANCE)


def pool(x):
    return F.max_pool2d(x, 3, 2)


#: The authors' layers after the first: name, padding, pooled.
ALEXNET = [('stages.0.0.', 2, True), ('stages.1.0.', 1, False),
           ('stages.1.1.', 1, False), ('stages.1.2.', 1, True),
           ('stages.2.0.', 0, False), ('stages.2.1.', 0, False)]


@pytest.mark.parametrize('scaled', [False, True])
@pytest.mark.parametrize('size', [(224, 224), (223, 258)])
def test_alexnet(size, scaled):
    net = randomize(XNORAlexNet(WIDTHS, activation_scale=scaled))
    p, x = net.state_dict(), draw(2, 3, *size)
    y = F.conv2d(x, p['stem.0.weight'], None, 4, 2)
    y = pool(bn(y, p, 'stem.1', 1e-5).clamp(min=0))
    for name, padding, pooled in ALEXNET:
        y = reference_conv(y, p, name, 1, padding, 1e-4, scaled)
        y = pool(y) if pooled else y
    y = bn(y, p, 'stages.2.2', 1e-3).clamp(min=0)
    assert y.shape[2:] == (1, 1 if size == (224, 224) else 2)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[0], y.mean((2, 3)), **TOLERANCE)


def test_resnet():
    net = randomize(XNORResNet(base_channels=4))
    p, x = net.state_dict(), draw(1, 3, 64, 96)
    y = F.conv2d(x, p['stem.0.weight'], None, 2, 3)
    y = F.max_pool2d(bn(y, p, 'stem.1', 1e-5).clamp(min=0), 3, 2, 1)
    with torch.no_grad():
        for i in range(4):
            for j in range(2):
                block = net.stages[i][j]
                assert len(block.shortcut) == (2 if i and not j else 0)
                assert block.conv1.conv.stride[0] == (2 if i and not j else 1)
                y = block(y)
        y = bn(y, p, 'stages.3.2', 1e-5).clamp(min=0)
        torch.testing.assert_close(net(x)[0], y, **TOLERANCE)


class Classifier(nn.Module):

    def __init__(self, backbone, channels):
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x):
        x = self.backbone(x)[-1]
        return self.fc(x.mean((2, 3)) if x.ndim == 4 else x)


@pytest.mark.parametrize('scaled', [False, True])
def test_counts_of_resnet(scaled):
    """The activation scale is no convolution of the network."""
    net = XNORResNet(activation_scale=scaled)
    assert len([m for m in net.modules()
                if isinstance(m, ActivationScale)]) == 16 * scaled
    report = count_ops(Classifier(net, 512), (3, 224, 224))
    flops = 112**2 * 64 * 3 * 49 + 512 * 1000
    bops = 56**2 * 64**2 * 9 * 4
    for i in (1, 2, 3):
        width, size = 64 * 2**i, 56 // 2**i
        bops += size**2 * width * 9 * (width // 2 + 3 * width)
        flops += size**2 * width * width // 2
    assert (report.bops, report.flops) == (bops, flops)
    # As printed, 1.70e9, 1.41e8 and 1.67e8, to a few per cent.
    assert report.bops == pytest.approx(1.70e9, 0.015)
    assert report.flops == pytest.approx(1.41e8, 0.025)
    assert report.ops == pytest.approx(1.67e8, 0.02)


def test_counts_of_alexnet():
    """Output side, kernel and widths of the layers that are 1-bit."""
    report = count_ops(Classifier(XNORAlexNet(), 4096), (3, 224, 224))
    table = [(27, 5, 96, 256), (13, 3, 256, 384), (13, 3, 384, 384),
             (13, 3, 384, 256), (1, 6, 256, 4096), (1, 1, 4096, 4096)]
    weights = [k**2 * c * d for _, k, c, d in table]
    assert report.bops == sum(s**2 * w for (s, *_), w in zip(table, weights))
    assert report.flops == 55**2 * 11**2 * 3 * 96 + 4096 * 1000
    assert report.one_bit_params == sum(weights)
    norms = 2 * (96 + 96 + 256 + 384 + 384 + 256 + 4096 + 4096)
    assert report.params == (
        sum(weights) + 11**2 * 3 * 96 + 4096 * 1000 + 1000 + norms)


CASES = [
    (XNORAlexNet, dict(widths=WIDTHS), (230, 224), [(4, 27, 27), (6, 13, 13),
                                                    (4, 6, 6), (7, )]),
    (XNORResNet, dict(base_channels=4), (33, 65), [(4, 9, 17), (4, 9, 17),
                                                   (8, 5, 9), (16, 3, 5),
                                                   (32, 2, 3)]),
    (XNORResNet, dict(base_channels=4,
                      small_input=True), (32, 32), [(4, 32, 32), (4, 32, 32),
                                                    (8, 16, 16), (16, 8, 8),
                                                    (32, 4, 4)]),
]


@pytest.mark.parametrize('network,options,size,shapes', CASES)
@pytest.mark.parametrize('scaled', [False, True])
def test_stages_and_gradients(network, options, size, shapes, scaled):
    number = len(shapes) - 1
    net = network(
        in_channels=1,
        out_indices=range(number),
        activation_scale=scaled,
        **options)
    x = torch.randn(2, 1, *size)
    assert tuple(net.stem(x).shape[1:])[0] == shapes[0][0]
    outs = net(x)
    assert [tuple(out.shape[1:]) for out in outs] == shapes[1:]
    outs[-1].square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name


def test_defaults_are_the_papers():
    for net in (XNORAlexNet(WIDTHS), XNORResNet(base_channels=4)):
        layers = [m for m in net.modules() if isinstance(m, BinaryConv2d)]
        assert len(layers) == (6 if isinstance(net, XNORAlexNet) else 16)
        assert {m.weight_binarizer for m in layers} == {'xnor_sign'}
        assert {m.estimator
                for m in net.modules() if hasattr(m, 'estimator')} == {'clip'}
        assert net.stem[0].__class__ is nn.Conv2d


def test_norm_options_reach_every_layer():
    """An epsilon of the config's own replaces the authors'."""
    net = XNORAlexNet(WIDTHS, norm_cfg=dict(type='BN', eps=0.5))
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m.eps for m in norms] == [0.5] * 8
    net = XNORAlexNet(WIDTHS)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m.eps for m in norms] == [1e-5] + [1e-4] * 6 + [1e-3]


@pytest.mark.parametrize('build,words', [
    (lambda: XNORResNet(34), 'Unknown depth 34. Known: 18'),
    (lambda: XNORAlexNet((1, 2, 3)), r'seven layers, got \(1, 2, 3\)'),
    (lambda: XNORResNet(weight_binarizer='x'), "binarizer 'x'.*xnor_sign"),
    (lambda: XNORAlexNet(WIDTHS, estimator='x'), "estimator 'x'.*clip"),
    (lambda: XNORAlexNet(WIDTHS)(torch.zeros(1, 3, 224, 222)),
     'XNORAlexNet need images of at least 223x223, got 224x222'),
    (lambda: XNORResNet(base_channels=2)
     (torch.zeros(1, 3, 64, 31)), 'XNORResNet divides height and width by 32'),
])
def test_errors(build, words):
    with pytest.raises(ValueError, match=words):
        build()
