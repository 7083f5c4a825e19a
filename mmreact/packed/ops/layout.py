"""What moves numbers, and changes none."""
from math import prod

from .operation import Operation, Value, operation


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
