"""Activation functions."""
import numpy as np

from .. import ops
from .nodes import affine_nodes, builds, column


@builds(ops.RPReLU)
def rprelu(op, graph, x):
    rank = graph.rank(op.name)
    x = affine_nodes(graph, x, None, -op.gamma, rank)
    x = graph.add('PRelu', x, column(op.beta, rank))
    return affine_nodes(graph, x, None, op.zeta, rank)


@builds(ops.Clamp)
def clamp(op, graph, x):
    low, high = np.float32(op.low), np.float32(op.high)
    if (low, high) == (0, np.float32(ops.FLOAT_MAX)):  # Engines are faster.
        return graph.add('Relu', x)
    return graph.add('Clip', x, low, high)


@builds(ops.Sigmoid)
def sigmoid(op, graph, x):
    return graph.add('Sigmoid', x)


@builds(ops.Tanh)
def tanh(op, graph, x):
    return graph.add('Tanh', x)


@builds(ops.Hardsigmoid)
def hardsigmoid(op, graph, x):
    return graph.add('HardSigmoid', x, alpha=1 / 6, beta=0.5)


@builds(ops.Hardswish)
def hardswish(op, graph, x):
    return graph.add('HardSwish', x)


@builds(ops.SiLU)
def silu(op, graph, x):
    return graph.add('Mul', x, graph.add('Sigmoid', x))


@builds(ops.GELU)
def gelu(op, graph, x):
    """ONNX has it from opset 20 on."""
    half = graph.add('Mul', x, np.float32(0.5))
    if op.approximate:
        square = graph.add('Mul', x, x)
        inner = graph.add('Mul', square, np.float32(0.044715))
        inner = graph.add('Add', inner, np.float32(1))
        inner = graph.add('Mul', graph.add('Mul', x, inner),
                          np.float32(np.sqrt(2 / np.pi)))
        inner = graph.add('Tanh', inner)
    else:
        inner = graph.add('Erf', graph.add('Mul', x, np.float32(np.sqrt(0.5))))
    return graph.add('Mul', half, graph.add('Add', inner, np.float32(1)))


@builds(ops.ELU)
def elu(op, graph, x):
    return graph.add('Elu', x, alpha=op.alpha)


@builds(ops.Softplus)
def softplus(op, graph, x):
    return graph.add('Softplus', x)
