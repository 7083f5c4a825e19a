"""What is computed number by number."""
import numpy as np

from .. import ops
from .table import column, implements


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
    return x * column(op.scale, x) + column(op.shift, x)


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
