"""Normalizations."""
import numpy as np

from .. import ops
from .nodes import affine_nodes, builds


def normalize(graph, x, axes, eps):
    """Subtract the mean over ``axes`` and divide by the deviation."""
    centred = graph.add('Sub', x, graph.add('ReduceMean', x, axes=axes))
    square = graph.add('Mul', centred, centred)
    variance = graph.add('ReduceMean', square, axes=axes)
    variance = graph.add('Add', variance, np.float32(eps))
    return graph.add('Div', centred, graph.add('Sqrt', variance))


@builds(ops.GroupNorm)
def group_norm(op, graph, x):
    rank = graph.rank(op.name)
    groups = graph.add('Reshape', x, np.array([0, op.groups, -1]))
    y = normalize(graph, groups, [2], op.eps)
    y = graph.add('Reshape', y, graph.add('Shape', x))
    return affine_nodes(graph, y, op.weight, op.bias, rank)


@builds(ops.LayerNorm)
def layer_norm(op, graph, x):
    y = normalize(graph, x, [1], op.eps)
    return affine_nodes(graph, y, op.weight, op.bias, graph.rank(op.name))


@builds(ops.Softmax)
def softmax(op, graph, x):
    return graph.add('Softmax', x, axis=1)


@builds(ops.LogSoftmax)
def log_softmax(op, graph, x):
    return graph.add('LogSoftmax', x, axis=1)
