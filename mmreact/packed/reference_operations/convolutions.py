"""Convolutions and linear layers, tap by tap."""
import numpy as np

from .. import ops
from ..bits import unpack
from .table import column, implements


def accumulate(x: np.ndarray, weight: np.ndarray, stride, padding, dilation,
               groups) -> np.ndarray:
    """A convolution, tap by tap, in float64 (exact for signs).

    Args:
        x (ndarray): ``(N, Cin, H, W)``.
        weight (ndarray): ``(Cout, Cin / groups, kh, kw)``.
    """
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    kh, kw = weight.shape[2:]
    height = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    n, cin, cout = len(x), x.shape[1] // groups, len(weight) // groups
    y = np.zeros((n, groups, cout, height * width))
    for a, b in np.ndindex(kh, kw):
        tap = x[:, :, a * dh:, b * dw:][:, :, :sh * height:sh, :sw * width:sw]
        weights = weight[:, :, a, b].astype(np.float64)
        y += weights.reshape(groups, cout, cin) @ tap.reshape(
            n, groups, cin, height * width)
    return y.reshape(n, groups * cout, height, width)


@implements(ops.Conv2d)
def conv2d(op, x):
    y = accumulate(x, op.weight, op.stride, op.padding, op.dilation, op.groups)
    return y + column(op.bias, y)


@implements(ops.ConvTranspose2d)
def conv_transpose2d(op, x):
    (sh, sw), (dh, dw), (ph, pw) = op.stride, op.dilation, op.padding
    kind = 'sign' if x.dtype == np.int8 else 'real'
    n, cout, height, width = op.infer(ops.Value(kind, x.shape)).shape
    kh, kw = op.weight.shape[2:]
    rows, columns = (x.shape[2] - 1) * sh + 1, (x.shape[3] - 1) * sw + 1
    # With room for all that is added, also beside the result.
    y = np.zeros(
        (n, cout, max(rows + dh * (kh - 1),
                      height + ph), max(columns + dw * (kw - 1), width + pw)))
    groups = (n, op.groups, -1)
    x = x.astype(np.float64).reshape(*groups, *x.shape[2:])
    weight = op.weight.reshape(op.groups, -1, *op.weight.shape[1:])
    for a, b in np.ndindex(kh, kw):
        tap = np.einsum(
            'gco,ngchw->ngohw',
            weight[..., a, b].astype(np.float64),
            x,
            optimize=True)
        y[:, :, a * dh:a * dh + rows:sh,
          b * dw:b * dw + columns:sw] += tap.reshape(n, cout, *tap.shape[3:])
    y = y[:, :, ph:ph + height, pw:pw + width]
    return y + column(op.bias, y)


@implements(ops.Linear)
def linear(op, x):
    return x.astype(np.float64) @ op.weight.T.astype(np.float64) + op.bias


@implements(ops.BinaryConv2d)
def binary_conv2d(op, x):
    signs = unpack(op.weight, op.in_channels // op.groups)
    y = accumulate(x, signs.transpose(0, 3, 1, 2), op.stride, op.padding,
                   op.dilation, op.groups)
    return y * column(op.scale, y) + column(op.shift, y)


@implements(ops.BinaryLinear)
def binary_linear(op, x):
    y = x.astype(np.float64) @ unpack(op.weight, op.in_channels).T
    return y * op.scale.astype(np.float64) + op.shift
