"""What all operations of a packed program have."""
import re
from dataclasses import dataclass, field, fields
from math import ceil, prod
from typing import Callable, ClassVar, Dict, Tuple, Type, Union

import numpy as np

Pair = Tuple[int, int]

#: The largest float32; a bound of this magnitude is no bound.
FLOAT_MAX = float(np.finfo(np.float32).max)
#: Numbers from here on round to no finite float32.
FLOAT_END = 2.**128 - 2.**103
#: Sizes and attributes beyond this are refused as not meant.
MAX_SIZE = 1 << 24
#: Padding of a window on one side, and what is added to an image or cut off.
MAX_PADDING = 1 << 12
PADDINGS = ('padding', 'output_padding', 'rows', 'columns', 'channels')
#: Products of one sum at most, in words of 64 for 1-bit weights, so that sums
#: of signs stay far from the ends of 32-bit integers.
MAX_PRODUCTS = 1 << 28
#: So many numbers in one value at most.
MAX_NUMBERS = 1 << 33

#: What names must not have: control characters and what is no character.
NOT_IN_NAMES = re.compile('[\x00-\x1f\x7f\ud800-\udfff]')


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
                type(text) is str and text != ''
                and not NOT_IN_NAMES.search(text),
                'and its inputs must have printable names')
        if self.arity is None:
            self.require(len(self.inputs) > 0, 'has no input')
        else:
            self.require(
                len(self.inputs) == self.arity,
                lambda: f'takes {self.arity} inputs, got {len(self.inputs)}')
        for f in self.attribute_fields():
            self._check_attribute(f.name, f.type, getattr(self, f.name))
        for f in self.tensor_fields():
            array = getattr(self, f.name)
            self.require(
                isinstance(array, np.ndarray)
                and array.dtype == f.metadata['dtype']
                and array.ndim == f.metadata['ndim'],
                lambda: f'{f.name} must be {f.metadata["dtype"]} with '
                f'{f.metadata["ndim"]} dimensions')
            if f.name == 'weight':
                self.require(
                    prod(array.shape[1:]) <= MAX_PRODUCTS,
                    'has too large a weight')
            if array.dtype.kind == 'f' and f.name != 'threshold':
                self.require(
                    bool(np.isfinite(array).all()),
                    lambda: f'{f.name} holds NaN or infinity')

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
            good = type(value) in (int, float) and abs(value) < FLOAT_END
        self.require(good, lambda: f'{name} is {value!r}')
        if name in ('stride', 'dilation', 'kernel', 'groups'):
            values = value if isinstance(value, tuple) else (value, )
            self.require(min(values) > 0, lambda: f'{name} is {value!r}')
        if name in PADDINGS:
            self.require(
                max(value) <= MAX_PADDING, lambda: f'{name} is {value!r}')
        if name == 'eps':
            self.require(value > 0, lambda: f'{name} is {value!r}')

    def infer(self, *values: Value) -> Value:
        """Kind and shape of the result, from those of the inputs.

        Raises:
            ProgramError: If the inputs do not fit.
        """
        for value in values:
            self.require(
                value.kind in self.accepts,
                lambda: f'takes {" or ".join(self.accepts)}, got {value}')
        result = self._infer(*values)
        self.require(
            min(result.shape) > 0 and prod(result.shape) <= MAX_NUMBERS,
            lambda: f'gives {result} from {", ".join(map(str, values))}')
        return result

    def _infer(self, *values: Value) -> Value:
        return Value('real', values[0].shape)

    def require(self, condition: bool,
                message: Union[str, Callable[[], str]]) -> None:
        """Raise a ProgramError unless a condition holds.

        Args:
            condition (bool): What must hold.
            message (str | Callable): What is wrong otherwise. A text that is
                put together is given as a function: it takes longer than most
                checks.
        """
        if not condition:
            message = message if isinstance(message, str) else message()
            raise ProgramError(f'{kind_of(type(self))} {self.name!r} '
                               f'{message}.')

    def require_image(self, value: Value) -> None:
        self.require(
            len(value.shape) == 4, lambda: f'takes (N, C, H, W), got {value}')

    def require_channels(self, value: Value, channels: int) -> None:
        self.require(
            len(value.shape) in (2, 4) and value.shape[1] == channels,
            lambda: f'is for {channels} channels, got {value}')


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


class Windows:
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
            self.require(room >= 0,
                         lambda: f'has a window larger than {value}')
            size = (ceil(room / s) if ceil_mode else room // s) + 1
            # As in torch: no window may start in the padding at the end.
            if ceil_mode and (size - 1) * s >= n + p:
                size -= 1
            sizes.append(size)
        return tuple(sizes)
