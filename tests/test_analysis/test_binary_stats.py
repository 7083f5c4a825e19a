"""The statistics of 1-bit layers against counting by hand."""
import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from mmreact import models
from mmreact.analysis.binary_stats import (SignCounter, binary_layers,
                                           count_signs, layer_statistics,
                                           to_numbers, weight_signs)
from mmreact.functional import WEIGHT_BINARIZERS, WeightBinarizer
from mmreact.layers import BinaryConv2d, BinaryLinear, RPReLU, RSign

NAN = float('nan')


def rsign(alpha, *args, **kwargs):
    layer = RSign(len(alpha), *args, **kwargs)
    layer.alpha.data = torch.tensor(alpha)
    return layer


# layer, input, +1 of each channel, values without a gradient
SIGNS = [
    # At the threshold: -1. approx is 0 from |x - alpha| = 1 on.
    (rsign([0.5, -1.]), [[[.5, 1, 1.5, 2, -.5]], [[-1., -3, 0, -.5,
                                                   -2]]], [3, 2], 6),
    (rsign([0., 0], 'clip'), [[[1., -1, 1.5]], [[0, 2, 3]]], [2, 2], 3),
    (rsign([0.], dict(type='clip', threshold=1.3)), [[[1.25, 1.5]]], [2], 1),
    (rsign([0.], 'identity'), [[[-5., 7]]], [1], 0),
    (rsign([0.], 'swish'), [[[1., 1e4]]], [2], 1),
    (rsign([0.], lambda x: x), [[[0., 3]]], [1], 1),
    (RSign(2, learnable=False), [[[0.]], [[1e-30]]], [0, 1], 0),
    (rsign([0.]), [[[NAN, 1.]]], [1], 1),
]


@pytest.mark.parametrize('layer,values,positive,zeros', SIGNS)
@pytest.mark.parametrize('linear', [False, True])
def test_signs_by_hand(layer, values, positive, zeros, linear):
    """Also with the channels last, as in front of a linear layer."""
    x = torch.tensor(values).transpose(0, 1)  # one image (1, C, L)
    x = x.expand(3, *x.shape[1:])
    layer.channel_dim = 1
    if linear:
        layer.channel_dim, x = -1, x.transpose(1, 2)
    counts = count_signs(layer, x)
    assert counts.positive.tolist() == [3 * n for n in positive]
    assert counts.zero_gradient.item() == 3 * zeros
    assert counts.number == 3 * len(values[0][0])
    found = to_numbers(layer_statistics(layer, counts))
    share = np.divide(positive, len(values[0][0]))
    assert found['dead_channels'] == sum(s in (0, 1) for s in share)
    for name, function in dict(
            min=np.min, median=np.median, max=np.max).items():
        assert found[f'positive_share_{name}'] == pytest.approx(
            function(share))
    assert found['activation_zero_gradient'] == pytest.approx(
        zeros / share.size / len(values[0][0]))
    assert ('alpha_min' in found) is (layer.alpha is not None)


@pytest.mark.parametrize('values', [[3.], [2., -1], [5., 1, 2], [0., 0, 7, 1]])
def test_shifts_by_hand(values):
    layer = RPReLU(len(values))
    layer.gamma.data = torch.tensor(values)
    layer.zeta.data = -torch.tensor(values)
    found = to_numbers(layer_statistics(layer))
    assert found == dict(
        gamma_min=min(values),
        gamma_median=np.median(values),
        gamma_max=max(values),
        zeta_min=-max(values),
        zeta_median=-np.median(values),
        zeta_max=-min(values))


# A filter has 4 weights; 2 of 8 flip, and 2 are beyond ±1.
WEIGHT = [[.5, -1, 1.5, -.25], [0., 1, -2.25, .5]]
BEFORE = [[.5, -1, 1.5, 1.], [2., 1, -2.25, .5]]
MAGNITUDE = 7 / 8
# binarizer, input channels, share without a gradient (None: not logged)
WEIGHTS = [('sign', 4, 2 / 8), ('scaled_sign', 4, 2 / 8), ('xnor_sign', 4, 0),
           ('xnor_sign', 1, 1), ('real', 4, None)]


@pytest.mark.parametrize('binarizer,channels,zeros', WEIGHTS)
@pytest.mark.parametrize('linear', [False, True])
def test_weights_by_hand(binarizer, channels, zeros, linear):
    """XNOR-Net's rule gives a gradient everywhere, but for one channel."""
    if linear:
        layer = BinaryLinear(4, 2, weight_binarizer=binarizer)
        shape = 8 // channels, channels
    else:
        layer = BinaryConv2d(4, 2, 1, weight_binarizer=binarizer)
        shape = 2, channels, 1, 4 // channels
    layer.weight.data = torch.tensor(BEFORE).view(shape)
    signs = weight_signs(dict(a=layer))
    layer.weight.data = torch.tensor(WEIGHT).view(shape)
    found = to_numbers(layer_statistics(layer, signs=signs.get('a')))
    expected = dict(weight_magnitude=MAGNITUDE)
    if zeros is not None:
        expected.update(weight_zero_gradient=zeros, sign_flips=2 / 8)
        assert signs['a'].dtype == torch.bool
    assert found == expected
    assert layer.weight.grad is None and layer.weight.requires_grad


def test_nothing_waits_for_the_device():
    """On the meta device there are no values to be waited for."""
    layers = [
        rsign([0., 1]),
        RPReLU(3),
        BinaryConv2d(2, 2, 1),
        BinaryLinear(2, 2, weight_binarizer='xnor_sign')
    ]
    for layer in layers:
        layer.to('meta')
        counts = count_signs(layer, torch.zeros(
            1, 2, 3, device='meta')) if isinstance(layer, RSign) else None
        signs = weight_signs(dict(a=layer)).get('a')
        found = layer_statistics(layer, counts, signs)
        assert found and all(v.is_meta and not v.ndim for v in found.values())


def test_a_layer_that_runs_twice():
    """Recomputation in the backward pass does not change the shares."""
    layer = rsign([0., 0])
    x = torch.randn(4, 2, 3, requires_grad=True)
    once, twice = SignCounter(), SignCounter()
    with layer.register_forward_pre_hook(once):
        layer(x).sum().backward()
    with layer.register_forward_pre_hook(twice):
        checkpoint(layer, x, use_reentrant=False).sum().backward()
    assert twice.counts[layer].number == 2 * once.counts[layer].number == 24
    first, second = (
        to_numbers(layer_statistics(layer, counter.counts[layer]))
        for counter in (once, twice))
    assert first == second


# backbone, options, signs, shifts, layers with weights
BACKBONES = [
    ('ReActNet', dict(arch=[(8, 1), (16, 2)], stem_channels=4), 4, 4, 6),
    ('XNORResNet', dict(base_channels=4), 16, 0, 16),
    ('BNext', dict(arch=[(16, 1), (32, 2)], stem_channels=16), 5, 0, 5),
    ('BNNVGG', dict(widths=(8, 8, 8, 8, 8, 8, 64, 64)), 7, 0, 8),
    ('MeliusNet',
     dict(arch=dict(blocks=(1, 1), widths=(8, )), stem_channels=16,
          growth=4), 4, 0, 4),
    ('BinarizedBackbone',
     dict(backbone=dict(type='mmpretrain.ResNet', depth=18)), 19, 0, 19),
    ('MobileNetV1', dict(widen_factor=0.25), 0, 0, 0),
]


@pytest.mark.parametrize('name,options,signs,shifts,weights', BACKBONES)
def test_every_kind_of_network(name, options, signs, shifts, weights):
    """Layers are found by their type, and each that runs is counted."""
    torch.manual_seed(0)
    net = getattr(models, name)(**options)
    layers = binary_layers(net)
    counter = SignCounter()
    for layer in layers.values():
        if isinstance(layer, RSign):
            layer.register_forward_pre_hook(counter)
    net(torch.randn(2, 3, 32, 32))
    assert len(counter.counts) == signs
    assert sum(isinstance(m, RPReLU) for m in layers.values()) == shifts
    assert len(weight_signs(layers)) == weights
    found = {}
    for key, layer in layers.items():
        for statistic, value in layer_statistics(
                layer, counter.counts.get(layer)).items():
            found[f'{statistic}/{key}'] = value
    assert np.isfinite(list(to_numbers(found).values())).all()
    assert bool(found) is bool(signs)


def test_flips_are_those_of_the_binarizer(monkeypatch):
    """A binarizer that centres: a latent sign that moves may be no flip."""

    def centred(weight):
        middle = weight.mean(1, keepdim=True)
        hard = torch.where(weight > middle, 1., -1.).to(weight)
        return hard + weight - weight.detach()

    monkeypatch.setitem(WEIGHT_BINARIZERS, 'centred',
                        WeightBinarizer(centred, one_bit=True))
    layer = BinaryLinear(4, 1, weight_binarizer='centred')
    layer.weight.data = torch.tensor([[1., 2, 3, 4]])
    before = weight_signs(dict(net=layer))['net']
    assert before.tolist() == [[False, False, True, True]]
    layer.weight.data -= 2.75  # all move, two latent signs are now negative
    assert not (weight_signs(dict(net=layer))['net'] ^ before).any()
    layer.weight.data = torch.tensor([[4., 2, 3, 1]])  # no latent sign moved
    signs = weight_signs(dict(net=layer))['net']
    assert (signs ^ before).tolist() == [[True, False, False, True]]
    statistics = layer_statistics(layer, signs=before)
    assert statistics['sign_flips'] == 0.5
