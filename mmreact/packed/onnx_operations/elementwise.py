"""What is computed number by number."""
import numpy as np

from .. import ops
from .nodes import affine_nodes, builds, column


@builds(ops.Sign)
def sign(op, graph, x):
    """Not ONNX's Sign, whose value at 0 is 0."""
    rank, threshold, compare = graph.rank(op.name), op.threshold, 'Greater'
    if op.flip.all():
        compare = 'Less'
    elif op.flip.any():  # x < t is -x > -t
        turn = 1 - 2 * op.flip.astype(np.float32)
        x, threshold = graph.add('Mul', x, column(turn,
                                                  rank)), turn * threshold
    plus = graph.add(compare, x, column(threshold, rank))
    return graph.add('Where', plus, np.float32(1), np.float32(-1))


@builds(ops.Affine)
def affine(op, graph, x):
    return affine_nodes(graph, x, op.scale, op.shift, graph.rank(op.name))


@builds(ops.Abs)
def absolute(op, graph, x):
    return graph.add('Abs', x)


@builds(ops.Add)
def add(op, graph, a, b):
    return graph.add('Add', a, b)


@builds(ops.Multiply)
def multiply(op, graph, a, b):
    return graph.add('Mul', a, b)


@builds(ops.Scale)
def scale(op, graph, x):
    return graph.add('Mul', x, op.factor)
