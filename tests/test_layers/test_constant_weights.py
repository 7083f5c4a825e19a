"""In eval mode without gradients, weights are binarized once."""
import copy
import pickle

import pytest
import torch
from torch import nn

from mmreact.functional import WEIGHT_BINARIZERS, WeightBinarizer
from mmreact.layers import BinaryConv2d, BinaryLinear

LAYERS = {
    'conv':
    (lambda: BinaryConv2d(3, 4, 3, padding=1, bias=True), (2, 3, 5, 5)),
    'linear': (lambda: BinaryLinear(3, 4, bias=True), (2, 3)),
}


@pytest.fixture(params=LAYERS)
def case(request, monkeypatch):
    """A layer in eval mode, an input, and a list with an entry a call."""
    calls = []
    scaled = WEIGHT_BINARIZERS['scaled_sign']

    def counted(weight):
        calls.append(1)
        return scaled.function(weight)

    monkeypatch.setitem(WEIGHT_BINARIZERS, 'scaled_sign',
                        WeightBinarizer(counted, True))
    torch.manual_seed(0)
    make, shape = LAYERS[request.param]
    return make().eval(), torch.randn(shape), calls


def fresh(layer, x):
    """What a new layer with these parameters gives, with gradients on."""
    other = type(layer)(3, 4, *[3] * isinstance(layer, nn.Conv2d), bias=True)
    other.load_state_dict(layer.state_dict())
    if isinstance(layer, nn.Conv2d):
        other.padding = layer.padding
    other.weight_binarizer = layer.weight_binarizer
    return other.eval()(x).detach()


def test_once(case):
    layer, x, calls = case
    with torch.no_grad():
        outs = [layer(x) for _ in range(3)]
    assert len(calls) == 1
    for out in outs:
        assert torch.equal(out, fresh(layer, x))


def change_by_optimizer(layer):
    layer.weight.grad = torch.randn_like(layer.weight)
    torch.optim.SGD(layer.parameters(), 10.).step()


def load(layer):
    layer.load_state_dict({
        name: torch.randn_like(value)
        for name, value in layer.state_dict().items()
    })


def replace_data(layer):
    layer.weight.data = torch.randn_like(layer.weight)


def replace_parameter(layer):
    layer.weight = nn.Parameter(torch.randn_like(layer.weight))


def change_data_and_mode(layer):
    """As averaged weights are swapped in before a validation."""
    layer.train()
    layer.weight.data.neg_()
    layer.eval()


def other_binarizer(layer):
    layer.weight_binarizer = 'real'


def to_double_and_back(layer):
    layer.double().float()


@pytest.mark.parametrize('change', [
    change_by_optimizer, load, replace_data, replace_parameter,
    change_data_and_mode, other_binarizer, to_double_and_back
])
def test_changes_are_seen(case, change):
    layer, x, _ = case
    with torch.no_grad():
        before = layer(x)
        change(layer)
        after = layer(x)
    torch.testing.assert_close(after, fresh(layer, x))
    assert change is to_double_and_back or not torch.equal(before, after)


def test_not_while_training(case):
    layer, x, calls = case
    layer(x).sum().backward()  # eval mode, with gradients
    assert layer.weight.grad.abs().sum() > 0
    layer.train()
    with torch.no_grad():
        layer(x), layer(x)
    assert layer._kept is None
    layer.eval()
    with torch.no_grad():
        layer(x)
    assert layer._kept is not None
    layer.train()
    assert layer._kept is None  # the memory is free again


def test_inference_mode(case):
    layer, x, calls = case
    with torch.inference_mode():
        outs = [layer(x), layer(x)]
        assert len(calls) == 1
        within = copy.deepcopy(layer)
        within.weight = nn.Parameter(layer.weight.clone())
        assert torch.equal(within(x), outs[0])
    layer.train()
    layer(x).sum().backward()  # what was kept does no harm


def test_copies_hold_parameters_only(case):
    layer, x, _ = case
    with torch.no_grad():
        out = layer(x)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert other._kept is None and layer._kept is not None
            assert torch.equal(other(x), out)
    assert set(layer.state_dict()) == {'weight', 'bias'}
