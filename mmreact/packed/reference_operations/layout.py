"""What moves numbers."""
import numpy as np

from .. import ops
from .table import implements


@implements(ops.Concat)
def concat(op, *inputs):
    return np.concatenate(inputs, axis=1)


@implements(ops.Slice)
def channels(op, x):
    return x[:, op.start:op.stop]


@implements(ops.Flatten)
def flatten(op, x):
    return x.reshape(len(x), -1)
