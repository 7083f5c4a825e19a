"""Convolutions and linear layers, with real and with 1-bit weights."""
import numpy as np

from .operation import (Operation, Pair, Value, Windows, operation, tensor,
                        words)


@operation
class Conv2d(Operation, Windows):
    """Convolution with real weights.

    ``y[n, o, i, j] = bias[o] + sum_{c, a, b} weight[o, c, a, b]
    x[n, g C/G + c, i s + a d - p, j s + b d - p]`` for output channel ``o``
    of group ``g``; ``x`` is 0 outside the image. ``weight`` is
    ``(Cout, Cin / groups, kh, kw)``. A sign input is taken as +1.0 and -1.0.
    """
    accepts = ('real', 'sign')

    weight: np.ndarray = tensor(ndim=4)
    bias: np.ndarray = tensor()
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def check(self):
        super().check()
        cout = self.weight.shape[0]
        self.require(min(self.weight.shape) > 0, 'has an empty weight')
        self.require(self.bias.shape == (cout, ),
                     lambda: f'needs {cout} biases')
        self.require(cout % self.groups == 0,
                     lambda: f'has {cout} outputs in {self.groups} groups')

    def _infer(self, x):
        self.require_image(x)
        self.require_channels(x, self.weight.shape[1] * self.groups)
        size = self.window_size(x, self.weight.shape[2:])
        return Value('real', (x.shape[0], len(self.weight), *size))


@operation
class ConvTranspose2d(Operation):
    """Transposed convolution with real weights.

    Each number of the input adds ``x[n, g C/G + c, i, j]
    weight[g C/G + c, o, a, b]`` to ``y[n, g O/G + o, i s + a d - p,
    j s + b d - p]``, where that is in the result; ``bias`` is added to all.
    ``weight`` is ``(Cin, Cout / groups, kh, kw)``. There are
    ``(n - 1) s - 2 p + d (k - 1) + output_padding + 1`` rows and columns.
    """
    accepts = ('real', 'sign')

    weight: np.ndarray = tensor(ndim=4)
    bias: np.ndarray = tensor()
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def check(self):
        super().check()
        cin, cout = self.weight.shape[0], self.weight.shape[1] * self.groups
        self.require(min(self.weight.shape) > 0, 'has an empty weight')
        self.require(self.bias.shape == (cout, ),
                     lambda: f'needs {cout} biases')
        self.require(cin % self.groups == 0,
                     lambda: f'has {cin} inputs in {self.groups} groups')
        self.require(
            all(o < max(s, d) for o, s, d in zip(self.output_padding,
                                                 self.stride, self.dilation)),
            lambda: f'has output_padding {self.output_padding}')

    def _infer(self, x):
        self.require_image(x)
        self.require_channels(x, len(self.weight))
        size = [(n - 1) * s - 2 * p + d * (k - 1) + o + 1 for n, s, p, d, k, o
                in zip(x.shape[2:], self.stride, self.padding, self.dilation,
                       self.weight.shape[2:], self.output_padding)]
        return Value('real', (x.shape[0], len(self.bias), *size))


@operation
class Linear(Operation):
    """``y = x weight^T + bias``; ``weight`` is ``(Cout, Cin)``."""
    accepts = ('real', 'sign')

    weight: np.ndarray = tensor(ndim=2)
    bias: np.ndarray = tensor()

    def check(self):
        super().check()
        self.require(min(self.weight.shape) > 0, 'has an empty weight')
        self.require(self.bias.shape == self.weight.shape[:1],
                     lambda: f'needs {len(self.weight)} biases')

    def _infer(self, x):
        self.require(x.shape[1:] == self.weight.shape[1:],
                     lambda: f'is for {self.weight.shape[1]} inputs, got {x}')
        return Value('real', (x.shape[0], len(self.weight)))


@operation
class BinaryConv2d(Operation, Windows):
    """Convolution with 1-bit weights, then a scale and a shift.

    ``y[n, o] = scale[o] a[n, o] + shift[o]``, where ``a`` is the convolution
    of :class:`Conv2d` with weights +1 (bit 1) and -1 (bit 0), without bias;
    ``x`` is 0 outside the image, so that a padded tap adds nothing. For a
    sign input ``a`` is an integer and exact; a real input is summed as real
    values. ``weight`` is ``(Cout, kh, kw, words(Cin / groups))`` uint64: bit
    i of word w is input channel 64 w + i of the group, and bits behind the
    last channel are 0.
    """
    accepts = ('real', 'sign')

    weight: np.ndarray = tensor('uint64', 4)
    scale: np.ndarray = tensor()
    shift: np.ndarray = tensor()
    in_channels: int = 0
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def check(self):
        super().check()
        cout = self.weight.shape[0]
        self.require(
            min(self.weight.shape) > 0 and cout % self.groups == 0
            and self.in_channels > 0 and self.in_channels % self.groups == 0,
            lambda: f'has {self.in_channels} inputs and {cout} outputs in '
            f'{self.groups} groups')
        _check_bits(self, self.in_channels // self.groups)
        self.require(self.scale.shape == self.shift.shape == (cout, ),
                     lambda: f'needs {cout} scales and shifts')

    def _infer(self, x):
        self.require_image(x)
        self.require_channels(x, self.in_channels)
        size = self.window_size(x, self.weight.shape[1:3])
        return Value('real', (x.shape[0], len(self.weight), *size))


@operation
class BinaryLinear(Operation):
    """Linear layer with 1-bit weights, then a scale and a shift.

    ``y = scale (x w^T) + shift`` with ``weight`` ``(Cout, words(Cin))``
    uint64, laid out as in :class:`BinaryConv2d`.
    """
    accepts = ('real', 'sign')

    weight: np.ndarray = tensor('uint64', 2)
    scale: np.ndarray = tensor()
    shift: np.ndarray = tensor()
    in_channels: int = 0

    def check(self):
        super().check()
        self.require(len(self.weight) > 0 and self.in_channels > 0, 'is empty')
        _check_bits(self, self.in_channels)
        self.require(
            self.scale.shape == self.shift.shape == self.weight.shape[:1],
            lambda: f'needs {len(self.weight)} scales and shifts')

    def _infer(self, x):
        self.require(x.shape[1:] == (self.in_channels, ),
                     lambda: f'is for {self.in_channels} inputs, got {x}')
        return Value('real', (x.shape[0], len(self.weight)))


def _check_bits(op: Operation, channels: int) -> None:
    """Number of words, and zeros behind the last channel."""
    op.require(
        op.weight.shape[-1] == words(channels),
        lambda: f'needs {words(channels)} words for {channels} channels')
    if channels % 64:
        tail = op.weight[..., -1] >> np.uint64(channels % 64)
        op.require(not tail.any(), 'has bits behind its last channel')
