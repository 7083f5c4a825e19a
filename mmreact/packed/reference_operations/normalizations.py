"""Normalizations, in float64."""
import numpy as np

from .. import ops
from .table import column, implements


def normalize(x: np.ndarray, axes, eps: float) -> np.ndarray:
    """Subtract the mean over ``axes`` and divide by the deviation."""
    x = x.astype(np.float64)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


@implements(ops.GroupNorm)
def group_norm(op, x):
    y = normalize(x.reshape(len(x), op.groups, -1), 2, op.eps)
    y = y.reshape(x.shape)
    return y * column(op.weight, y) + column(op.bias, y)


@implements(ops.LayerNorm)
def layer_norm(op, x):
    y = normalize(x, 1, op.eps)
    return y * column(op.weight, y) + column(op.bias, y)


@implements(ops.Softmax)
def softmax(op, x):
    return np.exp(log_softmax(op, x))


@implements(ops.LogSoftmax)
def log_softmax(op, x):
    shifted = x - x.max(1, keepdims=True).astype(np.float64)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
