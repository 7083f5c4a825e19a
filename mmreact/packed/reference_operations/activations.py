"""Activation functions, in float64."""
from math import erfc

import numpy as np

from .. import ops
from .table import column, implements


@implements(ops.RPReLU)
def rprelu(op, x):
    gamma, beta, zeta = (column(v, x) for v in (op.gamma, op.beta, op.zeta))
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


@implements(ops.Hardsigmoid)
def hardsigmoid(op, x):
    return np.clip(x.astype(np.float64) + 3, 0, 6) / 6


@implements(ops.Hardswish)
def hardswish(op, x):
    return x * hardsigmoid(op, x)


@implements(ops.SiLU)
def silu(op, x):
    return x * sigmoid(op, x)


@implements(ops.GELU)
def gelu(op, x):
    x = x.astype(np.float64)
    if op.approximate:
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        return x * sigmoid(op, 2 * inner)
    return x / 2 * np.vectorize(erfc, [float])(-np.sqrt(0.5) * x)


@implements(ops.ELU)
def elu(op, x):
    below = np.float32(op.alpha) * np.expm1(np.minimum(x, np.float64(0)))
    return np.where(x > 0, x, below)


@implements(ops.Softplus)
def softplus(op, x):
    return np.logaddexp(0, x.astype(np.float64))
