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
