"""The operations of a packed program: each docstring is a contract.

A value is **real** (float32) or **sign** (+1 and -1, stored as bits). Images
are ``(N, C, H, W)``, vectors ``(N, C)``; channels are dimension 1 of both. A
row of constants per channel is a float32 array ``(C, )``.

Rounding: a real result is the exact value of the formula for its float32
inputs, up to the error of summing and multiplying in float32; NaNs and
infinities among the inputs are not covered. A sign is exact: it depends on its
float32 input by the comparison that is written here, and nothing else.

A new operation is a class here and a function in :mod:`.reference`.
"""
import re
from dataclasses import dataclass, field, fields
from math import ceil, prod
from typing import ClassVar, Dict, Tuple, Type

import numpy as np

Pair = Tuple[int, int]

#: The largest float32; a bound of this magnitude is no bound.
FLOAT_MAX = float(np.finfo(np.float32).max)
#: Sizes and attributes beyond this are refused as not meant.
MAX_SIZE = 1 << 24
#: Padding of a window on one side.
MAX_PADDING = 1 << 12
#: So many numbers in one value at most.
MAX_NUMBERS = 1 << 33


class ProgramError(ValueError):
    """A program that cannot be right, with the operation and the reason."""


@dataclass(frozen=True)
class Value:
    """Kind ('real' or 'sign') and shape of what an operation gives."""
    kind: str
    shape: Tuple[int, ...]

    def __str__(self) -> str:
        return f'{self.kind} {"x".join(map(str, self.shape))}'


def tensor(dtype: str = 'float32', ndim: int = 1):
    """A field that holds an array, in the file a tensor of its own."""
    return field(metadata=dict(dtype=np.dtype(dtype), ndim=ndim))


@dataclass(eq=False)
class Operation:
    """What all operations have.

    Args:
        name (str): Unique; the path of the layer it was lowered from.
        inputs (tuple[str]): Names of the operations (or of the program's
            input) whose results it takes.
    """
    name: str
    inputs: Tuple[str, ...]

    #: Number of inputs; None for any number from one on.
    arity: ClassVar[int] = 1
    #: Kinds of input that are accepted.
    accepts: ClassVar[Tuple[str, ...]] = ('real', )

    @classmethod
    def tensor_fields(cls):
        """The fields that hold arrays."""
        return [f for f in fields(cls) if 'dtype' in f.metadata]

    @classmethod
    def attribute_fields(cls):
        """The fields that hold plain values, without name and inputs."""
        return [f for f in fields(cls)[2:] if 'dtype' not in f.metadata]

    def tensors(self) -> Dict[str, np.ndarray]:
        return {f.name: getattr(self, f.name) for f in self.tensor_fields()}

    def check(self) -> None:
        """Check all that does not depend on the inputs' shapes.

        Raises:
            ProgramError: Names the operation and what is wrong.
        """
        for text in (self.name, *self.inputs):
            self.require(
                type(text) is str and text != '' and text.isprintable(),
                'and its inputs must have printable names')
        if self.arity is None:
            self.require(len(self.inputs) > 0, 'has no input')
        else:
            self.require(
                len(self.inputs) == self.arity,
                f'takes {self.arity} inputs, got {len(self.inputs)}')
        for f in self.attribute_fields():
            self._check_attribute(f.name, f.type, getattr(self, f.name))
        for f in self.tensor_fields():
            array = getattr(self, f.name)
            self.require(
                isinstance(array, np.ndarray)
                and array.dtype == f.metadata['dtype']
                and array.ndim == f.metadata['ndim'],
                f'{f.name} must be {f.metadata["dtype"]} with '
                f'{f.metadata["ndim"]} dimensions')
            if array.dtype.kind == 'f' and f.name != 'threshold':
                self.require(
                    bool(np.isfinite(array).all()),
                    f'{f.name} holds NaN or infinity')

    def _check_attribute(self, name, kind, value) -> None:
        if kind == Pair:
            good = (
                isinstance(value, tuple) and len(value) == 2
                and all(type(v) is int and 0 <= v <= MAX_SIZE for v in value))
        elif kind is int:
            good = type(value) is int and 0 <= value <= MAX_SIZE
        elif kind is bool:
            good = type(value) is bool
        else:
            good = type(value) in (int, float) and abs(value) <= FLOAT_MAX
        self.require(good, f'{name} is {value!r}')
        if name in ('stride', 'dilation', 'kernel', 'groups'):
            values = value if isinstance(value, tuple) else (value, )
            self.require(min(values) > 0, f'{name} is {value!r}')
        if name == 'padding':
            self.require(max(value) <= MAX_PADDING, f'{name} is {value!r}')

    def infer(self, *values: Value) -> Value:
        """Kind and shape of the result, from those of the inputs.

        Raises:
            ProgramError: If the inputs do not fit.
        """
        for value in values:
            self.require(value.kind in self.accepts,
                         f'takes {" or ".join(self.accepts)}, got {value}')
        result = self._infer(*values)
        self.require(
            min(result.shape) > 0 and prod(result.shape) <= MAX_NUMBERS,
            f'gives {result} from {", ".join(map(str, values))}')
        return result

    def _infer(self, *values: Value) -> Value:
        return Value('real', values[0].shape)

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            raise ProgramError(f'{kind_of(type(self))} {self.name!r} '
                               f'{message}.')

    def require_image(self, value: Value) -> None:
        self.require(len(value.shape) == 4, f'takes (N, C, H, W), got {value}')

    def require_channels(self, value: Value, channels: int) -> None:
        self.require(
            len(value.shape) in (2, 4) and value.shape[1] == channels,
            f'is for {channels} channels, got {value}')


#: Name in the file -> operation.
OPERATIONS: Dict[str, Type[Operation]] = {}


def operation(cls: Type[Operation]) -> Type[Operation]:
    """Register an operation under its class name in snake case."""
    cls = dataclass(eq=False)(cls)
    OPERATIONS[kind_of(cls)] = cls
    return cls


def kind_of(cls: Type[Operation]) -> str:
    """The name in the file: binary_conv2d for BinaryConv2d, rprelu."""
    return re.sub('(?<=[a-z])(?=[A-Z][a-z])', '_', cls.__name__).lower()


def words(channels: int) -> int:
    """Number of 64-bit words that hold one bit a channel."""
    return -(-channels // 64)


class _Windows:
    """Output size of what slides over an image."""

    def window_size(self,
                    value: Value,
                    kernel: Pair,
                    ceil_mode: bool = False) -> Pair:
        sizes = []
        dilation = getattr(self, 'dilation', (1, 1))
        for n, k, s, p, d in zip(value.shape[2:], kernel, self.stride,
                                 self.padding, dilation):
            room = n + 2 * p - d * (k - 1) - 1
            self.require(room >= 0, f'has a window larger than {value}')
            size = (ceil(room / s) if ceil_mode else room // s) + 1
            # As in torch: no window may start in the padding at the end.
            if ceil_mode and (size - 1) * s >= n + p:
                size -= 1
            sizes.append(size)
        return tuple(sizes)


@operation
class Conv2d(Operation, _Windows):
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
        self.require(self.bias.shape == (cout, ), f'needs {cout} biases')
        self.require(cout % self.groups == 0,
                     f'has {cout} outputs in {self.groups} groups')

    def _infer(self, x):
        self.require_image(x)
        self.require_channels(x, self.weight.shape[1] * self.groups)
        size = self.window_size(x, self.weight.shape[2:])
        return Value('real', (x.shape[0], len(self.weight), *size))


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
                     f'needs {len(self.weight)} biases')

    def _infer(self, x):
        self.require(x.shape[1:] == self.weight.shape[1:],
                     f'is for {self.weight.shape[1]} inputs, got {x}')
        return Value('real', (x.shape[0], len(self.weight)))


@operation
class BinaryConv2d(Operation, _Windows):
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
            f'has {self.in_channels} inputs and {cout} outputs in '
            f'{self.groups} groups')
        _check_bits(self, self.in_channels // self.groups)
        self.require(self.scale.shape == self.shift.shape == (cout, ),
                     f'needs {cout} scales and shifts')

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
            f'needs {len(self.weight)} scales and shifts')

    def _infer(self, x):
        self.require(x.shape[1:] == (self.in_channels, ),
                     f'is for {self.in_channels} inputs, got {x}')
        return Value('real', (x.shape[0], len(self.weight)))


def _check_bits(op: Operation, channels: int) -> None:
    """Number of words, and zeros behind the last channel."""
    op.require(op.weight.shape[-1] == words(channels),
               f'needs {words(channels)} words for {channels} channels')
    if channels % 64:
        tail = op.weight[..., -1] >> np.uint64(channels % 64)
        op.require(not tail.any(), 'has bits behind its last channel')


@operation
class Sign(Operation):
    """``y = +1 if x > threshold[c] else -1``; where ``flip[c]`` is 1,
    ``y = +1 if x < threshold[c] else -1``.

    An infinite threshold is on one side of every number, so that the result
    is constant. With ``flip`` a negative scale, by which the input would have
    to be multiplied first, is folded into the threshold.
    """
    threshold: np.ndarray = tensor()
    flip: np.ndarray = tensor('uint8')

    def check(self):
        super().check()
        self.require(not np.isnan(self.threshold).any(), 'threshold is NaN')
        self.require(
            self.flip.shape == self.threshold.shape
            and self.flip.max(initial=0) <= 1,
            'flip must be 0 or 1 for each threshold')

    def _infer(self, x):
        self.require_channels(x, len(self.threshold))
        return Value('sign', x.shape)


@operation
class Affine(Operation):
    """``y = scale[c] x + shift[c]``: a normalisation that stands alone."""
    accepts = ('real', 'sign')

    scale: np.ndarray = tensor()
    shift: np.ndarray = tensor()

    def check(self):
        super().check()
        self.require(self.scale.shape == self.shift.shape,
                     'needs as many scales as shifts')

    def _infer(self, x):
        self.require_channels(x, len(self.scale))
        return Value('real', x.shape)


@operation
class RPReLU(Operation):
    """``y = x - gamma + zeta if x > gamma else beta (x - gamma) + zeta``,
    all per channel (ReActNet, ECCV 2020). PReLU has gamma = zeta = 0.
    """
    gamma: np.ndarray = tensor()
    beta: np.ndarray = tensor()
    zeta: np.ndarray = tensor()

    def check(self):
        super().check()
        self.require(self.gamma.shape == self.beta.shape == self.zeta.shape,
                     'needs as many gammas, betas and zetas')

    def _infer(self, x):
        self.require_channels(x, len(self.gamma))
        return x


@operation
class Clamp(Operation):
    """``y = min(max(x, low), high)``: ReLU, ReLU6, hardtanh.

    Both are rounded to float32; of the largest magnitude, 3.4028235e38, they
    are no bounds.
    """
    low: float = 0.0
    high: float = FLOAT_MAX

    def check(self):
        super().check()
        self.require(self.low <= self.high, 'has low > high')


@operation
class Sigmoid(Operation):
    """``y = 1 / (1 + exp(-x))``."""


@operation
class Tanh(Operation):
    """``y = tanh(x)``."""


@operation
class Abs(Operation):
    """``y = |x|``."""


@operation
class Add(Operation):
    """``y = a + b``; equal shapes, or 1 in a dimension of one of them."""
    arity = 2
    accepts = ('real', 'sign')

    def _infer(self, a, b):
        return Value('real', _broadcast(self, a, b))


@operation
class Multiply(Operation):
    """``y = a b``; equal shapes, or 1 in a dimension of one of them."""
    arity = 2
    accepts = ('real', 'sign')

    def _infer(self, a, b):
        return Value('real', _broadcast(self, a, b))


@operation
class Scale(Operation):
    """``y = factor x``; ``factor`` is ``(C or 1, H or 1, W or 1)``.

    With an ``H`` or ``W`` of its own it fixes the size of the image.
    """
    accepts = ('real', 'sign')

    factor: np.ndarray = tensor(ndim=3)

    def _infer(self, x):
        self.require_image(x)
        self.require(
            all(f in (1, n) for f, n in zip(self.factor.shape, x.shape[1:])),
            f'is for {"x".join(map(str, self.factor.shape))}, got {x}')
        return Value('real', x.shape)


def _broadcast(op: Operation, a: Value, b: Value) -> Tuple[int, ...]:
    op.require(
        len(a.shape) == len(b.shape)
        and all(m == n or 1 in (m, n) for m, n in zip(a.shape, b.shape)),
        f'cannot combine {a} and {b}')
    return tuple(max(m, n) for m, n in zip(a.shape, b.shape))


@operation
class Concat(Operation):
    """Join along the channels. All inputs are real, or all are signs."""
    arity = None
    accepts = ('real', 'sign')

    def _infer(self, *values):
        first = values[0]
        for value in values:
            self.require(
                value.kind == first.kind and value.shape[:1] + value.shape[2:]
                == first.shape[:1] + first.shape[2:],
                f'cannot join {first} and {value}')
        channels = sum(value.shape[1] for value in values)
        return Value(first.kind, (first.shape[0], channels, *first.shape[2:]))


@operation
class Slice(Operation):
    """Channels ``start`` to ``stop`` (exclusive)."""
    accepts = ('real', 'sign')

    start: int = 0
    stop: int = 0

    def _infer(self, x):
        self.require(0 <= self.start < self.stop <= x.shape[1],
                     f'takes channels {self.start} to {self.stop} of {x}')
        return Value(x.kind,
                     (x.shape[0], self.stop - self.start, *x.shape[2:]))


@operation
class AvgPool2d(Operation, _Windows):
    """Mean over windows.

    The sum over a window, with 0 outside the image, is divided by the number
    of its taps that are in the image or, with ``count_include_pad``, in the
    image or its padding. With ``ceil_mode`` the output size is rounded up
    unless the last window would start behind image and leading padding.
    """
    accepts = ('real', 'sign')

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True

    def _infer(self, x):
        self.require_image(x)
        _check_pool_padding(self)
        size = self.window_size(x, self.kernel, self.ceil_mode)
        return Value('real', (*x.shape[:2], *size))


@operation
class MaxPool2d(Operation, _Windows):
    """Maximum over windows; the padding is less than every number."""
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    def _infer(self, x):
        self.require_image(x)
        _check_pool_padding(self)
        size = self.window_size(x, self.kernel, self.ceil_mode)
        return Value('real', (*x.shape[:2], *size))


def _check_pool_padding(op: Operation) -> None:
    """As in torch; every window then holds a pixel."""
    op.require(
        all(2 * p <= k for p, k in zip(op.padding, op.kernel)),
        f'has padding {op.padding} for windows {op.kernel}')


@operation
class AdaptiveAvgPool2d(Operation):
    """Means over ``size`` windows: window i of n spans rows
    ``floor(i H / n)`` to ``ceil((i + 1) H / n)`` (exclusive).
    """
    accepts = ('real', 'sign')

    size: Pair = (1, 1)

    def _infer(self, x):
        self.require_image(x)
        return Value('real', (*x.shape[:2], *self.size))


@operation
class ChannelMean(Operation):
    """Mean over the channels: ``(N, C, H, W)`` -> ``(N, 1, H, W)``."""
    accepts = ('real', 'sign')

    def _infer(self, x):
        self.require_image(x)
        return Value('real', (x.shape[0], 1, *x.shape[2:]))


@operation
class Flatten(Operation):
    """``(N, C, H, W)`` -> ``(N, C H W)``, channels slowest."""
    accepts = ('real', 'sign')

    def _infer(self, x):
        return Value(x.kind, (x.shape[0], prod(x.shape[1:])))
