"""What holds for every backbone; a new one is a row in SMALL."""
import copy

import pytest
import torch
from mmengine.model import convert_sync_batchnorm
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmreact import models
from mmreact.layers import BinaryConv2d, RPReLU, RSign
from mmreact.models import backbones

#: Name -> ``(options, channels of the image, [input sizes])`` of small ones.
SMALL = dict(
    BinarizedBackbone=[
        (dict(backbone=dict(type='mmpretrain.ResNet', depth=18)), 3, [(64, 64),
                                                                      (33, 97)
                                                                      ]),
    ],
    BNNAlexNet=[
        (dict(widths=(8, 8, 8, 8, 8, 64, 64), input_size=64), 3, [(64, 64)]),
    ],
    BNNResNet=[
        (dict(base_channels=4), 3, [(64, 64), (33, 97)]),
        (dict(base_channels=4, small_input=True), 3, [(32, 32), (9, 17)]),
    ],
    BNNVGG=[
        (dict(widths=(8, 8, 8, 8, 8, 8, 64, 64)), 3, [(32, 32)]),
    ],
    BiRealNet=[
        (dict(depth=18, base_channels=4), 3, [(64, 64), (33, 97)]),
        (dict(depth=18, base_channels=4, small_input=True), 3, [(32, 32),
                                                                (9, 17)]),
        (dict(depth=50, base_channels=4), 3, [(64, 64), (33, 97)]),
    ],
    BNext=[  # wide enough for some hidden unit of each gate to be active
        (dict(arch=[(64, 1), (128, 2)], stem_channels=64), 3, [(32, 32),
                                                               (7, 13)]),
        (dict(
            arch=[(16, 1), (32, 2)],
            stem_channels=16,
            attention=False,
            recoupling=False), 3, [(32, 32)]),
    ],
    MeliusNet=[
        (dict(
            arch=dict(blocks=(1, 2), widths=(8, )), stem_channels=16,
            growth=4), 3, [(32, 32), (9, 21)]),
    ],
    MobileNetV1=[
        (dict(widen_factor=0.25), 3, [(64, 64), (33, 97)]),
        (dict(widen_factor=0.25, in_channels=1), 1, [(32, 32)]),
    ],
    ReActNet=[
        (dict(arch=[(8, 1), (16, 2), (16, 1)], stem_channels=4), 3, [(32, 32),
                                                                     (7, 13)]),
        (dict(
            arch=[(8, 1), (16, 2), (16, 1)],
            stem_channels=4,
            expansion_groups=2), 3, [(32, 32)]),
    ],
    ReActResNet=[
        (dict(depth=18, base_channels=4), 3, [(64, 64), (33, 97)]),
    ],
    RealToBinaryNet=[
        (dict(base_channels=8), 3, [(64, 64), (33, 97)]),
        (dict(base_channels=8, scale='learned',
              input_size=(33, 97)), 3, [(33, 97)]),
    ],
    XNORAlexNet=[
        (dict(widths=(5, 7, 6, 4, 3, 16, 16)), 3, [(290, 300), (223, 330)]),
    ],
    XNORResNet=[
        (dict(base_channels=4), 3, [(64, 64), (33, 97)]),
        (dict(base_channels=4, activation_scale=True), 3, [(64, 64)]),
    ],
)
CASES = [(name, *row) for name, rows in SMALL.items() for row in rows]


def build(name, **options):
    torch.manual_seed(0)
    return getattr(models, name)(**options)


def test_every_backbone_has_a_row():
    assert set(SMALL) == set(backbones.__all__)


@pytest.mark.parametrize('name,options,channels,sizes', CASES)
def test_forward_and_backward(name, options, channels, sizes):
    """Shapes for several sizes; a gradient reaches every parameter."""
    net = build(name, **options)
    widths = set()
    for size in sizes:
        net.zero_grad()
        outs = net(torch.randn(2, channels, *size))
        assert isinstance(outs, tuple)
        for out in outs:
            assert len(out) == 2 and out.isfinite().all()
        widths.add(outs[-1].shape[1])
        # Not a sum: behind a normalisation its gradient is 0.
        outs[-1].square().mul(torch.randn_like(outs[-1])).sum().backward()
        assert not [
            key for key, p in net.named_parameters()
            if p.grad is None or not p.grad.any()
        ]
    assert len(widths) == 1


def step(net, x):
    """Output, gradients and buffers of one pass, and bytes kept for it."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        out = net(x)[-1]
    parameters = {p.data_ptr() for p in net.parameters()}
    size = sum(t.untyped_storage().nbytes() for at, t in kept.items()
               if at not in parameters)
    kept.clear()
    torch.manual_seed(1)
    (out * torch.randn_like(out)).sum().backward()
    found = dict(out=out, **dict(net.named_buffers()))
    found.update(
        (f'gradient of {k}', p.grad) for k, p in net.named_parameters())
    return found, size


@pytest.mark.parametrize('with_cp', [True, [0], [-1]])
@pytest.mark.parametrize(
    'name,options,channels,sizes',
    # That one has the option of the network in it.
    [case for case in CASES if case[0] != 'BinarizedBackbone'])
def test_with_cp(name, options, channels, sizes, with_cp):
    """The same output, gradients and statistics, and less that is kept."""
    x = torch.randn(2, channels, *sizes[0])
    (expected, plain), (found, less) = (
        step(build(name, **options, **extra), x)
        for extra in ({}, dict(with_cp=with_cp)))
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    assert less < plain


def test_with_cp_of_a_stage_that_is_not_there():
    options, *_ = SMALL['ReActNet'][0]
    with pytest.raises(ValueError, match='with_cp must be from -2 to 1'):
        build('ReActNet', **options, with_cp=[2])


@pytest.mark.parametrize('name,options,channels,sizes', CASES)
def test_eval_does_not_mix_images(name, options, channels, sizes):
    """In eval mode an image's features do not depend on its neighbours.

    Compared in batches of one size: another order of floating point sums
    would flip signs at a threshold.
    """
    net = build(name, **options).eval()
    image, *others = torch.randn(3, 1, channels, *sizes[0])
    with torch.no_grad():
        first, second = (
            net(torch.cat([image, other]))[-1][0] for other in others)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize('name,options,channels,sizes', CASES)
def test_binarizers_share_parameters(name, options, channels, sizes):
    """Names and shapes do not depend on what is binarized."""
    net = build(name, **options)
    one_bit = [m for m in net.modules() if hasattr(m, 'weight_binarizer')]
    if not one_bit:
        assert name == 'MobileNetV1'  # the real-valued one
        return
    real = build(name, **options, weight_binarizer='real')
    net.load_state_dict(real.state_dict(), strict=True)
    assert not any(getattr(m, 'one_bit_weight', False) for m in real.modules())


@pytest.mark.parametrize('name,options,channels,sizes', CASES)
def test_norm_layers_start_as_they_should(name, options, channels, sizes):
    """init_weights leaves latent weights with both signs."""
    net = build(name, **options)
    net.init_weights()
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            share = (module.weight > 0).double().mean()
            assert 0 < share < 1 or module.weight.numel() < 64


def norms(net):
    return {
        key: type(m).__name__
        for key, m in net.named_modules() if isinstance(m, _BatchNorm)
    }


@pytest.mark.parametrize('how', ['norm_cfg', 'sync_bn'])
@pytest.mark.parametrize('name,options,channels,sizes', CASES)
def test_sync_bn(name, options, channels, sizes, how):
    """By configuration and as Runner does for ``sync_bn='torch'``.

    The same parameters and the same features in eval mode. (To train with it
    takes GPUs.)
    """
    plain = build(name, **options)
    if how == 'sync_bn':
        sync = convert_sync_batchnorm(build(name, **options), 'torch')
    else:
        options = copy.deepcopy(options)
        # A binarized one of MMPretrain has it in that one's config.
        options.get('backbone', options)['norm_cfg'] = dict(type='SyncBN')
        sync = build(name, **options)
    assert norms(sync) == dict.fromkeys(norms(plain), 'SyncBatchNorm')
    assert norms(plain)
    sync.load_state_dict(plain.state_dict(), strict=True)
    x = torch.randn(1, channels, *sizes[0])
    with torch.no_grad():
        expected, given = plain.eval()(x), sync.eval()(x)
    for one, other in zip(expected, given):
        assert torch.equal(one, other)


class Tracer(fx.Tracer):
    """Goes into everything but torch's layers and ours that hold no layer."""

    def is_leaf_module(self, module, name):
        ours = type(module).__module__.startswith('mmreact.layers')
        return (ours and not isinstance(module, nn.Sequential)
                or super().is_leaf_module(module, name))


@pytest.mark.parametrize('name,options,channels,sizes', CASES)
def test_traces_to_layers(name, options, channels, sizes):
    """As packing needs it: torch.fx finds all layers, and the same result."""
    net = build(name, **options).eval()
    graph = Tracer().trace(net)
    leaves = {node.target for node in graph.nodes if node.op == 'call_module'}
    assert leaves >= {
        key
        for key, module in net.named_modules()
        if isinstance(module, (BinaryConv2d, RSign, RPReLU))
    }
    x = torch.randn(1, channels, *sizes[0])
    traced = fx.GraphModule(net, graph)
    for ours, theirs in zip(traced(x), net(x)):
        assert torch.equal(ours, theirs)
