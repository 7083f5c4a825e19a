"""Weight binarizers against values worked out by hand."""
import pytest
import torch

from mmreact.functional import WEIGHT_BINARIZERS, get_weight_binarizer

# Two filters; mean |W| is 1.25 and 0.5.
WEIGHT = [[2., -1., 0., 2.], [-0.5, 1., -0.5, 0.]]
# Latent weights at and just beyond the clipping threshold.
INSIDE = [[0, 1, 1, 0], [1, 1, 1, 1]]
ONES = [[1] * 4] * 2
ONE_BIT = [name for name, row in WEIGHT_BINARIZERS.items() if row.one_bit]

SCALED = [[1.25, -1.25, -1.25, 1.25], [-0.5, 0.5, -0.5, -0.5]]
# 1/4, and the scale where |W| < 1; times 1 - 1/c_in
XNOR = [[0.25, 0.25, 1.5, 0.25], [0.75, 0.25, 0.75, 0.75]]

# name -> (one bit, forward, gradient for a gradient of ones)
TABLE = dict(
    real=(False, WEIGHT, ONES),
    sign=(True, [[1, -1, -1, 1], [-1, 1, -1, -1]], INSIDE),
    scaled_sign=(True, SCALED, INSIDE),
    xnor_sign=(True, SCALED, XNOR))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('shape', [(2, 4), (2, 4, 1, 1), (2, 1, 2, 2)])
@pytest.mark.parametrize('name', WEIGHT_BINARIZERS)
def test_table(name, shape, dtype):
    one_bit, forward, gradient = TABLE[name]
    weight = torch.tensor(WEIGHT, dtype=dtype).view(shape).requires_grad_()
    row = get_weight_binarizer(name)
    out = row.function(weight)
    assert row.one_bit is one_bit
    assert (out.shape, out.dtype) == (weight.shape, dtype)
    assert out.view(2, 4).tolist() == forward
    upstream = torch.arange(1., 9, dtype=dtype).view(shape)
    out.backward(upstream)
    expected = torch.tensor(gradient, dtype=dtype).view(shape) * upstream
    if name == 'xnor_sign':
        expected = expected * (1 - 1 / shape[1])
    assert torch.equal(weight.grad, expected)


@pytest.mark.parametrize('value,expected', [(1., 1), (-1., 1), (1.0000001, 0),
                                            (-1.0000001, 0), (0., 1), (-0., 1),
                                            (1e30, 0)])
@pytest.mark.parametrize('name', ['sign', 'scaled_sign'])
def test_gradient_edges(name, value, expected):
    weight = torch.tensor([[value, 0.5]], requires_grad=True)
    get_weight_binarizer(name).function(weight).sum().backward()
    assert weight.grad.tolist() == [[expected, 1]]


@pytest.mark.parametrize('value,inside', [(1., 0), (-1., 0), (0.9999999, 1),
                                          (-0.9999999, 1), (0., 1), (-0., 1),
                                          (1024., 0)])
def test_gradient_edges_of_xnor(value, inside):
    """As in the authors' code, a weight of exactly 1 is outside."""
    weight = torch.tensor([[value, 0.5]], requires_grad=True)
    get_weight_binarizer('xnor_sign').function(weight).sum().backward()
    alpha = weight.detach().abs().mean()
    expected = torch.stack([0.5 + alpha * inside, 0.5 + alpha]) * 0.5
    assert torch.equal(weight.grad[0], expected)


@pytest.mark.parametrize('shape', [(3, 4, 3, 3), (2, 5, 1, 1), (4, 6)])
def test_xnor_gradient_weight_by_weight(shape):
    """Against the rule of the authors' code in plain Python."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    weight, upstream = draw[0].requires_grad_(), draw[1]
    get_weight_binarizer('xnor_sign').function(weight).backward(upstream)
    rows = zip(*(t.detach().flatten(1).tolist()
                 for t in (weight, upstream, weight.grad)))
    for filter_, gradients, found in rows:
        n, c_in = len(filter_), shape[1]
        m = sum(map(abs, filter_)) / n
        expected = [
            g * ((0 if w <= -1 or w >= 1 else m) + 1 / n) * (1 - 1 / c_in)
            for w, g in zip(filter_, gradients)
        ]
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('name', ONE_BIT)
def test_one_magnitude_in_a_filter(name):
    """Bit for bit: the detach trick leaves three (2.4e-7 relative)."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 37, 3, 3, generator=generator)
    weight[0, 0, 0] = torch.tensor([0., -0., 1e-30])
    out = get_weight_binarizer(name).function(weight)
    magnitudes = [len(set(f.abs().flatten().tolist())) for f in out]
    assert magnitudes == [1] * 64
    assert torch.equal(out > 0, weight > 0)


def test_all_zero_filter_has_scale_0():
    weight = torch.zeros(1, 3, 1, 1)
    out = get_weight_binarizer('scaled_sign').function(weight)
    assert out.flatten().tolist() == [0, 0, 0]
    out = get_weight_binarizer('sign').function(weight)
    assert out.flatten().tolist() == [-1, -1, -1]


def test_scale_is_no_path_for_the_gradient():
    """With a path, an upstream gradient of W's signs would reach |W| > 1."""
    weight = torch.tensor([[3., -2.], [5., 4.]], requires_grad=True)
    get_weight_binarizer('scaled_sign').function(weight).sum().backward()
    assert weight.grad.tolist() == [[0, 0], [0, 0]]


def test_unknown():
    with pytest.raises(ValueError) as error:
        get_weight_binarizer('ternary')
    for word in ['ternary', *WEIGHT_BINARIZERS]:
        assert word in str(error.value)
