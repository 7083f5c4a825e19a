"""The reference backend: the contracts of :mod:`.ops` in plain numpy.

Slow, and simple enough to believe. Sums of real numbers are made in float64
and rounded to float32 once for each operation.
"""
from typing import Callable, Dict, Iterable, Type

import numpy as np

from . import ops
from .bits import unpack
from .program import INPUT, Program

#: Operation -> function(operation, *input arrays) -> array.
FUNCTIONS: Dict[Type[ops.Operation], Callable] = {}


def implements(cls: Type[ops.Operation]):

    def register(function):
        FUNCTIONS[cls] = function
        return function

    return register


class ReferenceBackend:
    """Runs a program operation by operation.

    Real values are float32 arrays, signs int8 arrays of +1 and -1.
    """
    name = 'reference'

    def __init__(self, program: Program, threads=None):
        self.program = program

    def run(self, x: np.ndarray,
            names: Iterable[str]) -> Dict[str, np.ndarray]:
        """Compute the results of the named operations.

        Args:
            x (ndarray): ``(N, C, H, W)`` float32, normalised.
            names (Iterable[str]): Operations.
        """
        self.program.infer(x.shape[1:], x.shape[0])
        wanted, results = list(names), {INPUT: x}
        last_use = {
            source: op.name
            for op in self.program.operations
            for source in op.inputs
        }
        for op in self.program.operations:
            results[op.name] = run_operation(
                op, *(results[source] for source in op.inputs))
            for source in set(op.inputs):
                if last_use[source] == op.name and source not in wanted:
                    del results[source]
        return {name: results[name] for name in wanted}


def run_operation(op: ops.Operation, *inputs: np.ndarray) -> np.ndarray:
    """Compute one operation; real results in float32, signs in int8."""
    y = FUNCTIONS[type(op)](op, *inputs)
    return y if y.dtype == np.int8 else y.astype(np.float32)


def _column(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Constants per channel, shaped for ``like``, in float64."""
    return values.astype(np.float64).reshape(-1, *[1] * (like.ndim - 2))


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
    cin, cout = x.shape[1] // groups, len(weight) // groups
    y = np.zeros((len(x), len(weight), height, width))
    for g in range(groups):
        outputs = slice(g * cout, (g + 1) * cout)
        for a, b in np.ndindex(kh, kw):
            tap = x[:, g * cin:(g + 1) * cin, a * dh:, b * dw:]
            tap = tap[:, :, :sh * height:sh, :sw * width:sw]
            y[:, outputs] += np.einsum(
                'oc,nchw->nohw',
                weight[outputs, :, a, b].astype(np.float64),
                tap,
                optimize=True)
    return y


@implements(ops.Conv2d)
def conv2d(op, x):
    y = accumulate(x, op.weight, op.stride, op.padding, op.dilation, op.groups)
    return y + _column(op.bias, y)


@implements(ops.Linear)
def linear(op, x):
    return x.astype(np.float64) @ op.weight.T.astype(np.float64) + op.bias


@implements(ops.BinaryConv2d)
def binary_conv2d(op, x):
    signs = unpack(op.weight, op.in_channels // op.groups)
    y = accumulate(x, signs.transpose(0, 3, 1, 2), op.stride, op.padding,
                   op.dilation, op.groups)
    return y * _column(op.scale, y) + _column(op.shift, y)


@implements(ops.BinaryLinear)
def binary_linear(op, x):
    y = x.astype(np.float64) @ unpack(op.weight, op.in_channels).T
    return y * op.scale.astype(np.float64) + op.shift


@implements(ops.Sign)
def sign(op, x):
    threshold = op.threshold.reshape(-1, *[1] * (x.ndim - 2))
    flip = op.flip.astype(bool).reshape(threshold.shape)
    plus = np.where(flip, x < threshold, x > threshold)
    # +1 or -1 always, also for an infinite x.
    plus |= threshold == (np.where(flip, np.inf, -np.inf))
    return np.where(plus, 1, -1).astype(np.int8)


@implements(ops.Affine)
def affine(op, x):
    return x * _column(op.scale, x) + _column(op.shift, x)


@implements(ops.RPReLU)
def rprelu(op, x):
    gamma, beta, zeta = (_column(v, x) for v in (op.gamma, op.beta, op.zeta))
    shifted = x - gamma
    return np.where(shifted > 0, shifted, beta * shifted) + zeta


@implements(ops.Clamp)
def clamp(op, x):
    return np.clip(x, np.float32(op.low), np.float32(op.high))


@implements(ops.Sigmoid)
def sigmoid(op, x):
    return np.exp(-np.logaddexp(0, -x.astype(np.float64)))


@implements(ops.Tanh)
def tanh(op, x):
    return np.tanh(x.astype(np.float64))


@implements(ops.Abs)
def absolute(op, x):
    return np.abs(x)


@implements(ops.Add)
def add(op, a, b):
    return a.astype(np.float64) + b


@implements(ops.Multiply)
def multiply(op, a, b):
    return a.astype(np.float64) * b


@implements(ops.Scale)
def scale(op, x):
    return x.astype(np.float64) * op.factor


@implements(ops.Concat)
def concat(op, *inputs):
    return np.concatenate(inputs, axis=1)


@implements(ops.Slice)
def channels(op, x):
    return x[:, op.start:op.stop]


def _windows(op, x, fill):
    """Yield ``(i, j, window, taps)`` of a pooling.

    The window lies in the image padded with ``fill``; ``taps`` is how many of
    its taps lie in image or padding.
    """
    (ph, pw), (sh, sw), (kh, kw) = op.padding, op.stride, op.kernel
    dh, dw = getattr(op, 'dilation', (1, 1))
    n, c, h, w = x.shape
    _, _, rows, cols = op.infer(ops.Value('real', x.shape)).shape
    # Rounded up, the last window may reach behind the padding.
    room = [(rows - 1) * sh + dh * (kh - 1) + 1,
            (cols - 1) * sw + dw * (kw - 1) + 1]
    padded = np.full(
        (n, c, max(room[0], h + 2 * ph), max(room[1], w + 2 * pw)), fill,
        np.float64)
    padded[:, :, ph:ph + h, pw:pw + w] = x
    for i, j in np.ndindex(rows, cols):
        top, left = i * sh, j * sw
        window = padded[:, :, top:top + dh * (kh - 1) + 1:dh,
                        left:left + dw * (kw - 1) + 1:dw]
        taps = (min(top + kh, h + 2 * ph) - top) * (
            min(left + kw, w + 2 * pw) - left)
        yield i, j, window, taps


@implements(ops.AvgPool2d)
def avg_pool2d(op, x):
    y = np.empty(op.infer(ops.Value('real', x.shape)).shape)
    inside = np.ones_like(x[:1, :1], np.float64)
    counts = [w.sum() for _, _, w, _ in _windows(op, inside, 0.)]
    for (i, j, window, taps), count in zip(_windows(op, x, 0.), counts):
        divisor = taps if op.count_include_pad else count
        y[:, :, i, j] = window.sum((2, 3)) / divisor
    return y


@implements(ops.MaxPool2d)
def max_pool2d(op, x):
    y = np.empty(op.infer(ops.Value('real', x.shape)).shape)
    for i, j, window, _ in _windows(op, x, -np.inf):
        y[:, :, i, j] = window.max((2, 3))
    return y


@implements(ops.AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op, x):
    (rows, cols), (h, w) = op.size, x.shape[2:]
    y = np.empty((*x.shape[:2], rows, cols))
    for i, j in np.ndindex(rows, cols):
        window = x[:, :, i * h // rows:-(-(i + 1) * h // rows),
                   j * w // cols:-(-(j + 1) * w // cols)]
        y[:, :, i, j] = window.mean((2, 3), dtype=np.float64)
    return y


@implements(ops.ChannelMean)
def channel_mean(op, x):
    return x.mean(1, keepdims=True, dtype=np.float64)


@implements(ops.Flatten)
def flatten(op, x):
    return x.reshape(len(x), -1)
