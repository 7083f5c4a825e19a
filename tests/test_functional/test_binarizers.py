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

# name -> (one bit, forward, gradient for a gradient of ones)
TABLE = dict(
    real=(False, WEIGHT, ONES),
    sign=(True, [[1, -1, -1, 1], [-1, 1, -1, -1]], INSIDE),
    scaled_sign=(True, [[1.25, -1.25, -1.25, 1.25], [-0.5, 0.5, -0.5,
                                                     -0.5]], INSIDE))


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
    assert torch.equal(weight.grad, expected)


@pytest.mark.parametrize('value,expected', [(1., 1), (-1., 1), (1.0000001, 0),
                                            (-1.0000001, 0), (0., 1), (-0., 1),
                                            (1e30, 0)])
@pytest.mark.parametrize('name', ONE_BIT)
def test_gradient_edges(name, value, expected):
    weight = torch.tensor([[value, 0.5]], requires_grad=True)
    get_weight_binarizer(name).function(weight).sum().backward()
    assert weight.grad.tolist() == [[expected, 1]]


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
