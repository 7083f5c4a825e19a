"""What moves numbers, and changes none."""
from math import prod

from .operation import Operation, Pair, Value, operation


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
                lambda: f'cannot join {first} and {value}')
        channels = sum(value.shape[1] for value in values)
        return Value(first.kind, (first.shape[0], channels, *first.shape[2:]))


@operation
class Slice(Operation):
    """Channels ``start`` to ``stop`` (exclusive)."""
    accepts = ('real', 'sign')

    start: int = 0
    stop: int = 0

    def _infer(self, x):
        self.require(
            0 <= self.start < self.stop <= x.shape[1],
            lambda: f'takes channels {self.start} to {self.stop} of {x}')
        return Value(x.kind,
                     (x.shape[0], self.stop - self.start, *x.shape[2:]))


@operation
class Flatten(Operation):
    """``(N, C, H, W)`` -> ``(N, C H W)``, channels slowest."""
    accepts = ('real', 'sign')

    def _infer(self, x):
        return Value(x.kind, (x.shape[0], prod(x.shape[1:])))


@operation
class Pad(Operation):
    """Numbers ``value``, rounded to float32, around an image.

    So many are added before and after: ``rows`` above and below, ``columns``
    on the left and on the right, ``channels``. A vector has channels only.
    The result is a sign where the input is one and the value +1 or -1.
    """
    accepts = ('real', 'sign')

    channels: Pair = (0, 0)
    rows: Pair = (0, 0)
    columns: Pair = (0, 0)
    value: float = 0.0

    def _infer(self, x):
        if self.rows != (0, 0) or self.columns != (0, 0):
            self.require_image(x)
        sides = (self.channels, self.rows, self.columns)
        shape = [n + sum(side) for n, side in zip(x.shape[1:], sides)]
        kind = x.kind if abs(self.value) == 1 else 'real'
        return Value(kind, (x.shape[0], *shape))


@operation
class Crop(Operation):
    """Every ``stride``-th row and column of what is left of an image.

    ``rows`` are cut off above and below, ``columns`` on the left and on the
    right.
    """
    accepts = ('real', 'sign')

    rows: Pair = (0, 0)
    columns: Pair = (0, 0)
    stride: Pair = (1, 1)

    def _infer(self, x):
        self.require_image(x)
        sides = (self.rows, self.columns)
        size = [
            -(-(n - sum(side)) // s)
            for n, side, s in zip(x.shape[2:], sides, self.stride)
        ]
        self.require(min(size) > 0, lambda: f'cuts off all of {x}')
        return Value(x.kind, (*x.shape[:2], *size))


@operation
class ChannelShuffle(Operation):
    """Channels of ``groups`` groups in turn (ShuffleNet, CVPR 2018).

    Channel ``k`` of ``C`` is channel ``(k mod groups) C / groups +
    floor(k / groups)`` of the input.
    """
    accepts = ('real', 'sign')

    groups: int = 1

    def _infer(self, x):
        self.require(x.shape[1] % self.groups == 0,
                     lambda: f'has {self.groups} groups for {x}')
        return x
