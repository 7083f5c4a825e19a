"""What is computed number by number."""
import numpy as np
from openvino import opset14 as opset

from .. import ops
from .nodes import affine_node, builds, column, constant


@builds(ops.Sign)
def sign(op, graph, x):
    rank, threshold = graph.rank(op.name), op.threshold
    if op.flip.any():  # x < t is -x > -t
        turn = 1 - 2 * op.flip.astype(np.float32)
        x, threshold = opset.multiply(x, column(turn, rank)), turn * threshold
    plus = opset.greater(x, column(threshold, rank))
    return opset.select(plus, constant(1), constant(-1))


@builds(ops.Affine)
def affine(op, graph, x):
    return affine_node(x, op.scale, op.shift, graph.rank(op.name))


@builds(ops.RPReLU)
def rprelu(op, graph, x):
    rank = graph.rank(op.name)
    x, slope = affine_node(x, None, -op.gamma, rank), column(op.beta, rank)
    if len(op.beta) > 1:
        y = opset.prelu(x, slope)
    else:  # OpenVINO would move it in front of a maximum pooling.
        below = opset.multiply(opset.minimum(x, constant(0)), slope)
        y = opset.add(opset.relu(x), below)
    return affine_node(y, None, op.zeta, rank)


@builds(ops.Clamp)
def clamp(op, graph, x):
    return opset.clamp(x, op.low, op.high)


@builds(ops.Sigmoid)
def sigmoid(op, graph, x):
    return opset.sigmoid(x)


@builds(ops.Tanh)
def tanh(op, graph, x):
    return opset.tanh(x)


@builds(ops.Abs)
def absolute(op, graph, x):
    # OpenVINO moves its own abs in front of a maximum pooling.
    return opset.maximum(x, opset.negative(x))


@builds(ops.Add)
def add(op, graph, a, b):
    return opset.add(a, b)


@builds(ops.Multiply)
def multiply(op, graph, a, b):
    return opset.multiply(a, b)


@builds(ops.Scale)
def scale(op, graph, x):
    return opset.multiply(x, constant(op.factor[None]))
