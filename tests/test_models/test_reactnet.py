"""ReActNet against a NumPy block written from the paper, and its promises."""
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.apis import ImageClassificationInferencer, get_model
from torch import nn

from mmreact.datasets import transforms  # noqa: F401, registers LoadImage
from mmreact.functional import WEIGHT_BINARIZERS
from mmreact.layers import BinaryConv2d, RSign
from mmreact.layers.rsign import ACTIVATION_BINARIZERS
from mmreact.models import ReActNet
from mmreact.models.backbones.reactnet import ReActBlock

SMALL = dict(arch=[(8, 1), (16, 2), (16, 1), (32, 2)], stem_channels=8)


def randomize(module, seed=0):
    """Draw parameters and statistics, negative BN weights included."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
            if name.endswith('running_var'):
                tensor.abs_().add_(0.1)
    return module


def np_sign(x, alpha=None, binarizer='sign'):
    x = x - (0 if alpha is None else alpha[:, None, None])
    return dict(
        sign=np.where(x > 0, 1., -1), tanh=np.tanh(x), real=x)[binarizer]


def np_conv(x, weight, stride, padding, real=False):
    """Binarize a latent weight and correlate, one tap after the other."""
    scale = np.abs(weight).reshape(len(weight), -1).mean(1)
    signs = np.where(weight > 0, 1., -1.)
    if real:
        scale, signs = np.ones(len(weight)), weight
    (n, _, h, w), k = x.shape, weight.shape[-1]
    padded = np.zeros((n, x.shape[1], h + 2 * padding, w + 2 * padding))
    padded[:, :, padding:padding + h, padding:padding + w] = x
    size = [(length + 2 * padding - k) // stride + 1 for length in (h, w)]
    out = np.zeros((n, len(weight), *size))
    for i, j in np.ndindex(*size):
        top, left = i * stride, j * stride
        patch = padded[:, :, top:top + k, left:left + k]
        for o in range(len(weight)):
            out[:, o, i, j] = scale[o] * (patch * signs[o]).sum((1, 2, 3))
    return out


def np_bn(x, bn):
    names = 'running_mean', 'running_var', 'weight', 'bias'
    mean, var, weight, bias = (
        getattr(bn, name).detach().numpy()[:, None, None] for name in names)
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def np_pool(x):
    """Mean over 2x2 windows; at an odd edge over what there is."""
    h, w = x.shape[2:]
    out = np.empty((*x.shape[:2], (h + 1) // 2, (w + 1) // 2))
    for i, j in np.ndindex(*out.shape[2:]):
        window = x[:, :, 2 * i:2 * i + 2, 2 * j:2 * j + 2]
        out[:, :, i, j] = window.mean((2, 3))
    return out


def np_act(x, p, prefix):
    """RPReLU; PReLU is one without shifts, no activation one of slope 1."""
    names = ('gamma', 0.), ('zeta', 0.), ('weight', 1.), ('beta', None)
    gamma, zeta, weight, slope = (p.get(f'{prefix}.{name}',
                                        np.array([value]))[:, None, None]
                                  for name, value in names)
    slope = slope if f'{prefix}.beta' in p else weight
    return np.where(x > gamma, x - gamma, slope * (x - gamma)) + zeta


def np_block(x, block, width, stride, concat=True):
    p = {k: v.numpy() for k, v in block.state_dict().items()}
    real = block.conv1.weight_binarizer == 'real'
    sign = partial(np_sign, binarizer=block.sign1.binarizer)
    conv = partial(np_conv, real=real)
    shortcut = np_pool(x) if stride == 2 else x
    a = conv(sign(x, p.get('sign1.alpha')), p['conv1.weight'], stride, 1)
    a = np_act(np_bn(a, block.bn1) + shortcut, p, 'act1')
    z = sign(a, p.get('sign2.alpha'))
    doubles = concat and width == 2 * x.shape[1]
    y = np.concatenate([
        np_bn(conv(z, p[f'conv2.{k}.weight'], 1, 0), block.bn2[k]) +
        (a if doubles or width == x.shape[1] else 0)
        for k in range(1 + doubles)
    ], 1)
    return np_act(y, p, 'act2')


# width, stride, size, options
BLOCKS = [
    (4, 1, (5, 5), {}),
    (8, 1, (4, 4), {}),
    (4, 2, (6, 6), {}),
    (8, 2, (6, 4), {}),
    (8, 2, (5, 7), {}),
    (4, 2, (1, 1), {}),
    (8, 2, (2, 3), dict(activation='prelu')),
    (8, 1, (3, 3), dict(activation='none')),
    (8, 2, (3, 3), dict(rsign=False)),
    (8, 2, (4, 4), dict(activation='none', rsign=False)),
    (8, 2, (5, 5), dict(expansion='conv')),
    (6, 1, (3, 3), dict(expansion='conv')),
    (4, 1, (3, 3), dict(expansion='conv')),
    (8, 2, (4, 3), dict(weight_binarizer='real')),
    (8, 2, (3, 4), dict(activation_binarizer='tanh', weight_binarizer='real')),
    (8, 2, (5, 3), dict(activation_binarizer='real', weight_binarizer='real')),
    (4, 1, (3, 3), dict(activation_binarizer='real', rsign=False)),
]


@pytest.mark.parametrize('width,stride,size,options', BLOCKS)
def test_block(width, stride, size, options):
    block = ReActBlock(4, width, stride, **options).double().eval()
    randomize(block)
    x = np.random.default_rng(0).normal(size=(2, 4, *size))
    x[0, 0, 0, 0] = 0
    concat = options.get('expansion') != 'conv'
    expected = np_block(x, block, width, stride, concat)
    with torch.no_grad():
        ours = block(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)
    assert (len(block.conv2) == 2) == (width == 8 and concat)


def test_chain_of_blocks():
    """The whole backbone is its stem and its blocks in order."""
    net = randomize(ReActNet(**SMALL).double().eval())
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 3, 16, 18)))
    with torch.no_grad():
        y = net.stem[0](x).numpy()
        ours = net(x)[0].numpy()
    y = np_bn(y, net.stem[1])
    blocks = [block for stage in net.stages for block in stage]
    for block, (width, stride) in zip(blocks, SMALL['arch']):
        y = np_block(y, block, width, stride)
    np.testing.assert_allclose(ours, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('size,sides', [
    ((224, 224), [(112, 112), (56, 56), (28, 28), (14, 14), (7, 7)]),
    ((32, 32), [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]),
    ((97, 65), [(49, 33), (25, 17), (13, 9), (7, 5), (4, 3)]),
])
def test_shapes_of_a(size, sides):
    net = ReActNet(out_indices=range(5)).eval()
    with torch.no_grad():
        outs = net(torch.zeros(1, 3, *size))
    widths = [64, 128, 256, 512, 1024]
    assert [out.shape[1:] for out in outs] == \
        [(width, *side) for width, side in zip(widths, sides)]


@pytest.mark.parametrize('options,size,expected', [
    ({}, 32, [(32, 4)]),
    (dict(out_indices=(0, )), 32, [(8, 16)]),
    (dict(out_indices=(-1, 0)), 32, [(8, 16), (32, 4)]),
    (dict(out_indices=[1, 2]), 32, [(16, 8), (32, 4)]),
    (dict(in_channels=1), 8, [(32, 1)]),
    (dict(stem_stride=1), 4, [(32, 1)]),
    (dict(arch=((16, 2), )), 9, [(16, 3)]),
    (dict(arch=[(12, 1), (20, 2)], expansion='conv'), 8, [(20, 2)]),
])
def test_options(options, size, expected):
    settings = {**SMALL, **options}
    net = ReActNet(**settings).eval()
    outs = net(torch.zeros(1, settings.get('in_channels', 3), size, size))
    assert isinstance(outs, tuple)
    assert [(out.shape[1], out.shape[2]) for out in outs] == expected


@pytest.mark.parametrize('name', WEIGHT_BINARIZERS)
@pytest.mark.parametrize('activation', ACTIVATION_BINARIZERS)
def test_stages_share_parameters(name, activation):
    """The real-valued network, stage 1 and stage 2 hand over strictly."""
    net = randomize(
        ReActNet(
            **SMALL, weight_binarizer='real', activation_binarizer='real'),
        seed=2)
    other = ReActNet(
        **SMALL, weight_binarizer=name, activation_binarizer=activation)
    other.load_state_dict(net.state_dict(), strict=True)
    for key, value in other.state_dict().items():
        assert torch.equal(value, net.state_dict()[key])
    convs = [m for m in other.modules() if isinstance(m, BinaryConv2d)]
    assert [conv.weight_binarizer for conv in convs] == [name] * 10
    signs = [m for m in other.modules() if isinstance(m, RSign)]
    assert [sign.binarizer for sign in signs] == [activation] * 8


@pytest.mark.parametrize('options', [
    {},
    dict(weight_binarizer='real'),
    dict(weight_binarizer='sign'),
    dict(weight_binarizer='real', activation_binarizer='real'),
    dict(weight_binarizer='real', activation_binarizer='tanh'),
    dict(estimator=dict(type='clip', threshold=1.3)),
    dict(activation='prelu'),
    dict(activation='none', rsign=False),
    dict(expansion='conv'),
])
def test_gradients_reach_every_parameter(options):
    torch.manual_seed(0)
    net = ReActNet(**SMALL, **options)
    net(torch.randn(2, 3, 32, 32))[0].square().sum().backward()
    assert not [
        name for name, p in net.named_parameters()
        if p.grad is None or not p.grad.any()
    ]


@pytest.mark.parametrize('frozen', [-1, 0, 1, 3])
def test_frozen_stages(frozen):
    net = ReActNet(**SMALL, frozen_stages=frozen)
    for mode in (True, False, True):
        net.train(mode)
        for i, module in enumerate([net.stem, *net.stages]):
            free = i > frozen
            assert {p.requires_grad for p in module.parameters()} == {free}
            trains = free and mode
            assert {m.training for m in module.modules()} == {trains}


def test_norm_eval():
    net = ReActNet(**SMALL, norm_eval=True)
    before = {k: v.clone() for k, v in net.named_buffers()}
    net.train()
    net(torch.randn(2, 3, 32, 32))
    assert net.training and net.stages[0][0].training
    assert all(torch.equal(v, before[k]) for k, v in net.named_buffers())
    assert all(p.requires_grad for p in net.parameters())


def test_latent_weights_start_with_both_signs(capsys):
    torch.manual_seed(0)
    net = ReActNet(**SMALL)
    net.init_weights()
    capsys.readouterr()  # what mmengine prints about it
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            assert 0.3 < (module.weight > 0).double().mean() < 0.7
            # Kaiming, fan out: std = sqrt(2 / (out channels * taps))
            fan = module.weight[:, 0].numel()
            spread = module.weight.std().item() / (2 / fan)**0.5
            assert 0.75 < spread < 1.25
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.unique().tolist() == [1]


@pytest.mark.parametrize('options,words', [
    (dict(arch='d'), ['arch', 'd', "'a'"]),
    (dict(weight_binarizer='x'), ['binarizer', 'x', *WEIGHT_BINARIZERS]),
    (dict(activation_binarizer='x'), ['activation binarizer', 'x', 'real']),
    (dict(estimator='x'), ['estimator', 'x', 'approx']),
    (dict(activation='relu'), ['activation', 'relu', 'rprelu', 'none']),
    (dict(expansion='add'), ['expansion', 'add', 'concat', 'conv']),
    (dict(arch=[(16, 1), (48, 1)]), ['Block 1', '48', '16', '32']),
    (dict(arch=[(4, 1)]), ['Block 0', '8', '4', '16']),
    (dict(arch=[(8, 3)]), ['stride 1 or 2', '(8, 3)']),
    (dict(arch=[(8, 1, 1)]), ['stride 1 or 2', '(8, 1, 1)']),
    (dict(arch=[8, 16]), ['out_channels', 'stride', '[8, 16]']),
    (dict(arch=[]), ['out_channels', 'stride', '[]']),
    (dict(stem_channels=None), ['stem_channels']),
    (dict(out_indices=(3, )), ['out_indices', '-3', '2', '3']),
    (dict(out_indices=(0, -4)), ['out_indices', '-4']),
    (dict(frozen_stages=4), ['frozen_stages', '-1', '3', '4']),
    (dict(frozen_stages=-2), ['frozen_stages', '-2']),
])
def test_wrong_options(options, words):
    with pytest.raises(ValueError) as error:
        ReActNet(**{**SMALL, **options})
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize('size', [(7, 8), (8, 7), (1, 1)])
def test_too_small_input(size):
    net = ReActNet(**SMALL).eval()
    assert net(torch.zeros(1, 3, 8, 8))[0].shape == (1, 32, 1, 1)
    with pytest.raises(ValueError, match='{}x{}.*too small'.format(*size)):
        net(torch.zeros(1, 3, *size))


def test_get_model_and_inferencer():
    head = dict(type='LinearClsHead', num_classes=4, in_channels=32)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='ResizeEdge', scale=32, backend='pillow'),
        dict(type='PackInputs')
    ]
    cfg = dict(
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='ReActNet', **SMALL),
            neck=dict(type='GlobalAveragePooling'),
            head=head),
        data_preprocessor=dict(mean=[128.] * 3, std=[64.] * 3),
        test_dataloader=dict(
            dataset=dict(type='CustomDataset', pipeline=pipeline)))
    model = get_model(Config(cfg), pretrained=False)
    assert isinstance(model.backbone, ReActNet)
    image = np.random.default_rng(0).integers(0, 256, (40, 32, 3), np.uint8)
    result, = ImageClassificationInferencer(model)(image)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        scores = model((x - 128) / 64).softmax(1)[0].numpy()
    np.testing.assert_allclose(result['pred_scores'], scores, rtol=1e-4)
    assert result['pred_label'] == scores.argmax()
