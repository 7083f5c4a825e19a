"""What scales the output of a binary convolution, against plain loops."""
import math

import pytest
import torch
from torch import fx, nn

from mmreact.layers import ChannelGate, LearnedScale


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def randomized(module):
    module = module.double()
    for i, parameter in enumerate(module.parameters()):
        parameter.data = random(*parameter.shape, seed=i + 1)
    return module


@pytest.mark.parametrize('channels,width,reduction', [(8, 8, 8), (16, 32, 8),
                                                      (6, 2, 3), (3, 5, 1)])
@pytest.mark.parametrize('size', [(1, 1), (3, 4)])
def test_gate(channels, width, reduction, size):
    gate = randomized(ChannelGate(channels, width, reduction))
    first, second = (p[:, :, 0, 0].tolist() for p in gate.parameters())
    assert len(first) == channels // reduction and len(second) == width
    u = random(2, channels, *size)
    got = gate(u)
    assert got.shape == (2, width, 1, 1)
    for n in range(2):
        mean = [
            sum(u[n, c].flatten().tolist()) / u[n, c].numel()
            for c in range(channels)
        ]
        hidden = [
            max(sum(w * m for w, m in zip(row, mean)), 0) for row in first
        ]
        for c, row in enumerate(second):
            z = sum(w * h for w, h in zip(row, hidden))
            expected = 1 / (1 + math.exp(-z))
            assert got[n, c].item() == pytest.approx(expected, rel=1e-12)


def test_gate_of_an_empty_batch():
    assert ChannelGate(8, 4)(torch.zeros(0, 8, 2, 2)).shape == (0, 4, 1, 1)


@pytest.mark.parametrize('size', [(1, 1), (3, 4)])
def test_learned_scale(size):
    scale = randomized(LearnedScale(5, size))
    x = random(2, 5, *size, seed=9)
    expected = x.clone()
    for c in range(5):
        for h in range(size[0]):
            for w in range(size[1]):
                expected[:, c, h, w] *= scale.alpha[c].item(
                ) * scale.beta[h].item() * scale.gamma[w].item()
    torch.testing.assert_close(scale(x), expected, rtol=1e-12, atol=1e-12)


def test_learned_scale_starts_as_the_identity():
    x = random(1, 3, 2, 4).float()
    scale = LearnedScale(3, (2, 4))
    assert torch.equal(scale(x), x)
    assert {
        k: tuple(v.shape)
        for k, v in scale.state_dict().items()
    } == dict(
        alpha=(3, ), beta=(2, ), gamma=(4, ))
    assert 'size=(2, 4)' in repr(scale)


@pytest.mark.parametrize('make', [
    lambda: ChannelGate(4, 3, 2),
    lambda: LearnedScale(4, (2, 3)),
])
def test_gradients(make):
    module = randomized(make())
    x = random(2, 4, 2, 3).requires_grad_()
    names = [name for name, _ in module.named_parameters()]

    def function(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values)), x)

    assert torch.autograd.gradcheck(function, (x, *module.parameters()))


@pytest.mark.parametrize('channels,reduction', [(4, 8), (12, 8), (8, 3),
                                                (8, 0)])
def test_reduction_must_divide(channels, reduction):
    with pytest.raises(ValueError, match=f'{reduction} and {channels} chan'):
        ChannelGate(channels, 8, reduction)


class Leaves(fx.Tracer):

    def is_leaf_module(self, module, name):
        return isinstance(
            module, (ChannelGate, LearnedScale)) or (super().is_leaf_module(
                module, name))


GATE = nn.Sequential(ChannelGate(8, 4))
SCALE = nn.Sequential(LearnedScale(8, (2, 3)))


@pytest.mark.parametrize('net,size,words', [
    (GATE, (0, 3), 'one of 0x3 has none'),
    (GATE, (3, 0), 'one of 3x0 has none'),
    (SCALE, (3, 2), '2 rows and 3 columns, got a feature map of 3x2'),
    (SCALE, (1, 1), r'got a feature map of 1x1.*\(input_size\)'),
])
@pytest.mark.parametrize('tracer', [None, fx.Tracer, Leaves])
def test_maps_of_a_wrong_size(net, size, words, tracer):
    """Also after tracing, be the layer a leaf or not."""
    if tracer:
        net = fx.GraphModule(net, tracer().trace(net))
        net(torch.zeros(1, 8, 2, 3))
    with pytest.raises(ValueError, match=words):
        net(torch.zeros(1, 8, *size))
