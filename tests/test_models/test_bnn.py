"""Binarized neural networks against plain torch and their layer tables."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmreact.analysis import count_ops
from mmreact.layers import BinaryConv2d, BinaryLinear, RSign
from mmreact.models import BNNVGG, BinaryLinearClsHead, BNNAlexNet, BNNResNet
from mmreact.models.backbones.bnn import BNNBasicBlock

ALEXNET = (5, 7, 6, 4, 3, 8, 9)
VGG = (4, 3, 5, 6, 7, 8, 9, 10)
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


def bn(x, p, name):
    """Batch normalisation in eval mode, written out."""
    tail = (-1, *[1] * (x.ndim - 2))
    mean, var, weight, bias = (
        p[f'{name}.{key}'].view(tail)
        for key in ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def sign(x):
    return (x > 0).double() * 2 - 1


def hardtanh(x):
    return torch.minimum(
        torch.maximum(x, -torch.ones_like(x)), torch.ones_like(x))


@pytest.mark.parametrize('width,stride', [(4, 1), (8, 2), (6, 1), (4, 2)])
@pytest.mark.parametrize('last', [False, True])
def test_block(width, stride, last):
    block = randomize(BNNBasicBlock(4, width, stride, last))
    p, x = block.state_dict(), draw(2, 4, 6, 8)
    y = F.conv2d(sign(x), sign(p['conv1.1.weight']), None, stride, 1)
    y = hardtanh(bn(y, p, 'act1.0'))
    y = F.conv2d(sign(y), sign(p['conv2.1.weight']), None, 1, 1)
    if width == 4 and stride == 1:
        y = y + x
    else:
        weight = sign(p['shortcut.0.1.weight'])
        pixels = sign(x)[:, :, ::stride, ::stride]
        y = y + bn(
            torch.einsum('oc,nchw->nohw', weight[:, :, 0, 0], pixels), p,
            'shortcut.1')
    if not last:
        y = hardtanh(bn(y, p, 'act2.0'))
    with torch.no_grad():
        torch.testing.assert_close(block(x), y, **TOLERANCE)


# stride, padding, kernel of the max pooling; of the authors' five and six
# convolutions
CHAINS = [
    (BNNAlexNet, ALEXNET, 224, [(4, 2, 3), (1, 2, 3), (1, 1, 0), (1, 1, 0),
                                (1, 1, 3)]),
    (BNNAlexNet, ALEXNET, 96, [(4, 2, 3), (1, 2, 3), (1, 1, 0), (1, 1, 0),
                               (1, 1, 3)]),
    (BNNVGG, VGG, 32, [(1, 1, 0), (1, 1, 2)] * 3),
    (BNNVGG, VGG, 20, [(1, 1, 0), (1, 1, 2)] * 3),
]


@pytest.mark.parametrize('network,widths,size,table', CHAINS)
def test_chain(network, widths, size, table):
    """All layers, in order; the weights by their order in the network."""
    net = randomize(network(widths, input_size=size))
    x = y = draw(2, 3, size, size)
    weights = [
        m.weight for m in net.modules()
        if isinstance(m, (BinaryConv2d, BinaryLinear))
    ]
    norms = [
        m.state_dict() for m in net.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    assert [w.shape[0] for w in weights] == list(widths)
    with torch.no_grad():
        for i, (weight, norm) in enumerate(zip(weights, norms)):
            y = sign(y) if i else y
            if i < len(table):
                stride, padding, pool = table[i]
                y = F.conv2d(y, sign(weight), None, stride, padding)
                y = F.max_pool2d(y, pool, 2) if pool else y
            else:
                y = y.flatten(1) @ sign(weight).t()
            y = hardtanh(bn(y, {f'bn.{k}': v for k, v in norm.items()}, 'bn'))
        torch.testing.assert_close(net(x)[0], y, **TOLERANCE)
    kernels = [
        m.kernel_size[0] for m in net.modules() if isinstance(m, BinaryConv2d)
    ]
    assert kernels == ([11, 5, 3, 3, 3] if network is BNNAlexNet else [3] * 6)


def test_resnet():
    net = randomize(BNNResNet(base_channels=4))
    p, x = net.state_dict(), draw(1, 3, 64, 96)
    y = F.conv2d(x, sign(p['stem.0.weight']), None, 2, 3)
    y = hardtanh(bn(F.max_pool2d(y, 3, 2, 1), p, 'stem.2'))
    with torch.no_grad():
        for i in range(4):
            for j in range(2):
                block = net.stages[i][j]
                assert len(block.shortcut) == (2 if i and not j else 0)
                assert block.conv1[1].stride[0] == (2 if i and not j else 1)
                # Only the last block ends with a sum.
                assert len(block.act2) == (0 if i == 3 and j else 2)
                y = block(y)
        torch.testing.assert_close(net(x)[0], y, **TOLERANCE)


@pytest.mark.parametrize('norm', [False, True])
def test_head(norm):
    head = randomize(BinaryLinearClsHead(5, 7, norm))
    p, x = head.state_dict(), draw(3, 7)
    y = hardtanh(bn(x, p, 'fc.0')) if norm else x
    i = 3 if norm else 1
    y = bn(sign(y) @ sign(p[f'fc.{i}.weight']).t(), p, f'fc.{i + 1}')
    with torch.no_grad():
        torch.testing.assert_close(head((None, x)), y, **TOLERANCE)


def classifier(backbone, channels, classes=10, **head):
    init_default_scope('mmpretrain')
    vectors = backbone['type'] != 'BNNResNet'
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            neck=None if vectors else dict(type='GlobalAveragePooling'),
            head=dict(
                type='BinaryLinearClsHead',
                num_classes=classes,
                in_channels=channels,
                norm_features=not vectors,
                **head)))


def test_counts_of_alexnet():
    model = classifier(dict(type='BNNAlexNet'), 4096, 1000)
    report = count_ops(model, (3, 224, 224))
    table = [(27, 5, 192, 576), (13, 3, 576, 1152), (13, 3, 1152, 768),
             (13, 3, 768, 256), (1, 6, 256, 4096), (1, 1, 4096, 4096),
             (1, 1, 4096, 1000)]
    weights = [k**2 * c * d for _, k, c, d in table]
    first = 11**2 * 3 * 192
    assert report.bops == sum(s**2 * w for (s, *_), w in zip(table, weights))
    # 1-bit weights on a real image: the first layer has no BOPs.
    assert report.flops == 55**2 * first
    assert report.one_bit_params == sum(weights) + first
    norms = 192 + 576 + 1152 + 768 + 256 + 4096 + 4096 + 1000
    assert report.params - report.one_bit_params == 2 * norms


@pytest.mark.parametrize('depth,blocks', [(18, (2, 2, 2, 2)),
                                          (34, (3, 4, 6, 3))])
def test_counts_of_resnet(depth, blocks):
    model = classifier(dict(type='BNNResNet', depth=depth), 512, 1000)
    report = count_ops(model, (3, 224, 224))
    bops = 512 * 1000
    for i, number in enumerate(blocks):
        width, size = 64 * 2**i, 56 // 2**i
        bops += 2 * number * size**2 * width**2 * 9
        if i:  # the first convolution sees half the channels, and a 1x1
            bops -= size**2 * width * width // 2 * 9
            bops += size**2 * width * width // 2
    assert report.bops == bops
    assert report.flops == 112**2 * 64 * 3 * 49
    if depth == 18:  # as printed: 1.70e9, 1.20e8 and 1.47e8
        assert report.bops == pytest.approx(1.70e9, 0.005)
        assert report.flops == pytest.approx(1.20e8, 0.02)
        assert report.ops == pytest.approx(1.47e8, 0.02)


def test_counts_of_vgg():
    report = count_ops(classifier(dict(type='BNNVGG'), 1024), (3, 32, 32))
    widths, sides = (128, 128, 256, 256, 512, 512), (32, 32, 16, 16, 8, 8)
    bops = 512 * 4 * 4 * 1024 + 1024 * 1024 + 1024 * 10
    for i in range(1, 6):
        bops += sides[i]**2 * 9 * widths[i - 1] * widths[i]
    assert (report.bops, report.flops) == (bops, 32**2 * 27 * 128)


NETWORKS = [
    (dict(type='BNNAlexNet', widths=ALEXNET, input_size=64), 64, 9),
    (dict(type='BNNVGG', widths=VGG), 32, 10),
    (dict(type='BNNResNet', base_channels=4), 64, 32),
    (dict(type='BNNResNet', base_channels=4, small_input=True), 32, 32),
]


@pytest.mark.parametrize('backbone,size,channels', NETWORKS)
def test_classifier(backbone, size, channels):
    """Loss, gradients everywhere, and predictions; all layers 1-bit."""
    torch.manual_seed(0)
    model = classifier(backbone, channels, topk=(1, 5), cal_acc=True)
    x = torch.randn(4, 3, size, size)
    samples = [DataSample().set_gt_label(i) for i in range(4)]
    losses = model(x, samples, mode='loss')
    assert set(losses) == {'loss', 'accuracy_top-1', 'accuracy_top-5'}
    losses['loss'].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    model.eval()
    predictions = model(x, samples, mode='predict')
    assert predictions[0].pred_score.shape == (10, )
    layers = [
        m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    assert all(layer.one_bit_weight for layer in layers)
    assert {layer.weight_binarizer for layer in layers} == {'sign'}
    assert {m.estimator
            for m in model.modules() if isinstance(m, RSign)} == {'clip'}
    report = count_ops(model, (3, size, size))
    assert [row.binary for row in report.layers] == [False] + [True] * (
        len(layers) - 1)


@pytest.mark.parametrize('network,options,size,shapes', [
    (BNNAlexNet, dict(widths=ALEXNET), 224, [(7, 13, 13), (3, 6, 6), (9, )]),
    (BNNVGG, dict(widths=VGG), 32, [(3, 16, 16), (6, 8, 8), (8, 4, 4),
                                    (10, )]),
    (BNNResNet, dict(base_channels=4), 33, [(4, 9, 9), (8, 5, 5), (16, 3, 3),
                                            (32, 2, 2)]),
    (BNNResNet, dict(base_channels=4, small_input=True), 32, [(4, 32, 32),
                                                              (8, 16, 16),
                                                              (16, 8, 8),
                                                              (32, 4, 4)]),
])
def test_stages(network, options, size, shapes):
    net = network(in_channels=1, out_indices=range(len(shapes)), **options)
    outs = net(torch.randn(2, 1, size, size))
    assert [tuple(out.shape[1:]) for out in outs] == shapes
    for out in outs[:-1] if network is BNNResNet else outs:
        assert out.abs().max() <= 1  # hardtanh


@pytest.mark.parametrize('name', ['real', 'scaled_sign'])
def test_weight_binarizer_is_an_option_of_every_layer(name):
    nets = [
        BNNAlexNet(ALEXNET, weight_binarizer=name),
        BNNVGG(VGG, weight_binarizer=name),
        BNNResNet(base_channels=2, weight_binarizer=name),
        BinaryLinearClsHead(3, 4, weight_binarizer=name)
    ]
    for net in nets:
        assert {
            m.weight_binarizer
            for m in net.modules() if hasattr(m, 'weight_binarizer')
        } == {name}


def test_norm_of_linear_layers():
    """BN is for vectors there; another type is taken as it is."""
    net = BNNVGG(VGG, norm_cfg=dict(type='BN', eps=0.5))
    kinds = [(type(m), m.eps) for m in net.modules()
             if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert kinds == [(nn.BatchNorm2d, 0.5)] * 6 + [(nn.BatchNorm1d, 0.5)] * 2
    net = BNNVGG(VGG, norm_cfg=dict(type='SyncBN'))
    assert isinstance(net.stages[-1][-2], nn.SyncBatchNorm)


@pytest.mark.parametrize('build,words', [
    (lambda: BNNAlexNet((1, 2)), r'BNNAlexNet needs.*7 layers, got \(1, 2\)'),
    (lambda: BNNVGG((1, 2)), r'BNNVGG needs the widths of 8 layers'),
    (lambda: BNNAlexNet(ALEXNET, input_size=32), 'input_size=32 is too small'),
    (lambda: BNNVGG(VGG, input_size=7), 'input_size=7 is too small'),
    (lambda: BNNVGG(VGG)(torch.zeros(1, 3, 32, 40)),
     'BNNVGG are built for images of 32x32, got 32x40.*input_size'),
    (lambda: BNNAlexNet(ALEXNET)(torch.zeros(1, 3, 227, 227)),
     'BNNAlexNet are built for images of 224x224, got 227x227'),
    (lambda: BNNResNet(50), 'Unknown depth 50. Known: 18, 34'),
    (lambda: BNNResNet(base_channels=2)
     (torch.zeros(1, 3, 31, 64)), 'BNNResNet divides height and width by 32'),
    (lambda: BNNVGG(VGG, weight_binarizer='x'), "weight binarizer 'x'"),
    (lambda: BNNResNet(estimator='x'), "estimator 'x'"),
    (lambda: BinaryLinearClsHead(3, 4, estimator='x'), "estimator 'x'"),
    (lambda: BinaryLinearClsHead(0, 4), 'num_classes=0'),
])
def test_errors(build, words):
    with pytest.raises(ValueError, match=words):
        build()
