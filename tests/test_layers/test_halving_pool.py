"""HalvingPool against PyTorch's pooling."""
import pytest
import torch
from torch import nn

from mmreact.layers import HalvingPool


def plain():
    return nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)


@pytest.mark.parametrize('form',
                         [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('size', [(1, 1), (2, 2), (1, 4), (5, 1), (6, 7),
                                  (7, 6), (9, 9), (8, 8)])
def test_values_and_gradients(size, form):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64).to(memory_format=form)
    results = []
    for layer in (HalvingPool(), plain()):
        x = x.detach().requires_grad_()
        y = layer(x)
        upstream = torch.arange(y.numel()).view(y.shape).double().cos()
        y.backward(upstream.to(memory_format=form))
        results.append((y, x.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(
        results[0][1], results[1][1], rtol=1e-15, atol=0)


def test_keeps_nothing():
    kept = []
    x = torch.randn(1, 1, 4, 4, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda x: x):
        HalvingPool()(x)
    assert not kept


def test_gradient_given_stays_as_it_is():
    x = torch.randn(1, 1, 3, 3, requires_grad=True)
    upstream = torch.ones(1, 1, 2, 2)
    HalvingPool()(x).backward(upstream)
    assert torch.equal(upstream, torch.ones(1, 1, 2, 2))
    assert x.grad.tolist() == [[[[.25, .25, .5], [.25, .25, .5], [.5, .5, 1]]]]


def test_compiles():
    x = torch.randn(2, 3, 5, 6, requires_grad=True)
    compiled = torch.compile(
        HalvingPool(), fullgraph=True, backend='aot_eager')
    compiled(x).sum().backward()
    other = x.detach().requires_grad_()
    plain()(other).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
