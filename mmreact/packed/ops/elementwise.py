"""What is computed number by number, or from two numbers."""
from typing import Tuple

import numpy as np

from .operation import Operation, Value, operation, tensor


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
            lambda: f'is for {"x".join(map(str, self.factor.shape))}, got {x}')
        return Value('real', x.shape)


def _broadcast(op: Operation, a: Value, b: Value) -> Tuple[int, ...]:
    op.require(
        len(a.shape) == len(b.shape)
        and all(m == n or 1 in (m, n) for m, n in zip(a.shape, b.shape)),
        lambda: f'cannot combine {a} and {b}')
    return tuple(max(m, n) for m, n in zip(a.shape, b.shape))
