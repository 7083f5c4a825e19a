"""XNOR-Net's activation scale against loops in NumPy."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from mmreact.layers import ActivationScale, BinaryConv2d

# kernel, stride, padding, dilation, size of the input
CASES = [
    (1, 1, 0, 1, (3, 4)),
    (3, 1, 1, 1, (4, 5)),
    (3, 2, 1, 1, (5, 4)),
    (5, 1, 2, 1, (4, 4)),
    (3, 1, 2, 2, (5, 6)),
    ((1, 3), (2, 1), (0, 1), (1, 2), (5, 7)),
]


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def naive(x, kernel, stride, padding, dilation):
    """One output at a time: the mean over its taps, padded ones are 0."""
    (kh, kw), (sh, sw), (ph,
                         pw), (dh,
                               dw) = map(pair,
                                         (kernel, stride, padding, dilation))
    n, channels, height, width = x.shape
    out = np.zeros((n, 1, (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1,
                    (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1))
    for b, _, i, j in np.ndindex(out.shape):
        for u, v in np.ndindex(kh, kw):
            row, column = i * sh - ph + u * dh, j * sw - pw + v * dw
            if 0 <= row < height and 0 <= column < width:
                out[b, 0, i, j] += np.abs(x[b, :, row, column]).sum()
    return out / (channels * kh * kw)


@pytest.mark.parametrize('kernel,stride,padding,dilation,size', CASES)
def test_against_loops(kernel, stride, padding, dilation, size):
    x = np.random.default_rng(0).normal(size=(2, 3, *size))
    layer = ActivationScale(kernel, stride, padding, dilation)
    out = layer(torch.from_numpy(x)).numpy()
    expected = naive(x, kernel, stride, padding, dilation)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)
    conv = BinaryConv2d(3, 2, kernel, stride, padding, dilation).double()
    assert conv(torch.from_numpy(x)).shape[2:] == out.shape[2:]


def test_exact_for_one_magnitude():
    """Where all |x| are equal, sign and scale lose nothing."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((1, 4, 5, 5), (2, 4, 3, 3)))
    signs = x.sign()
    scale = ActivationScale(3)(2.5 * signs)
    torch.testing.assert_close(
        F.conv2d(signs, weight) * scale, F.conv2d(2.5 * signs, weight))


def test_gradient():
    """d K / d x = sign(x) / (C kh kw), summed over the windows."""
    x = torch.tensor([[[2., -3., 0.]], [[1., 1., -1.]]]).view(1, 2, 1, 3)
    x.requires_grad_()
    ActivationScale((1, 3), padding=(0, 1))(x).sum().backward()
    windows = torch.tensor([2., 3, 2])  # that see each column
    expected = torch.tensor([[1., -1, 0], [1, 1, -1]]) * windows / 6
    torch.testing.assert_close(x.grad[0, :, 0], expected)


def test_nothing_to_store_and_half_precision():
    layer = ActivationScale(3, padding=1)
    assert not layer.state_dict()
    assert layer(torch.ones(1, 2, 3, 3).bfloat16()).dtype == torch.bfloat16
    assert 'kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)' in repr(layer)


def test_is_a_leaf_of_a_trace():

    class Tracer(fx.Tracer):

        def is_leaf_module(self, module, name):
            return isinstance(module, ActivationScale) or \
                super().is_leaf_module(module, name)

    net = nn.Sequential(ActivationScale(3), nn.ReLU())
    nodes = [node.op for node in Tracer().trace(net).nodes]
    assert nodes == ['placeholder', 'call_module', 'call_module', 'output']
