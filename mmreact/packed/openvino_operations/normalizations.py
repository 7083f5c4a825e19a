"""Normalizations."""
from openvino import opset14 as opset

from .. import ops
from .nodes import affine_node, builds


def normalize(x, axes, eps):
    """Subtract the mean over ``axes`` and divide by the deviation."""
    return opset.mvn(x, axes, True, eps, 'inside_sqrt')


@builds(ops.GroupNorm)
def group_norm(op, graph, x):
    shape = graph.values[op.name].shape
    groups = opset.reshape(x, [0, op.groups, -1], True)
    y = opset.reshape(normalize(groups, [2], op.eps), list(shape), False)
    return affine_node(y, op.weight, op.bias, len(shape))


@builds(ops.LayerNorm)
def layer_norm(op, graph, x):
    rank = graph.rank(op.name)
    return affine_node(normalize(x, [1], op.eps), op.weight, op.bias, rank)


@builds(ops.Softmax)
def softmax(op, graph, x):
    return opset.softmax(x, 1)


@builds(ops.LogSoftmax)
def log_softmax(op, graph, x):
    return opset.log_softmax(x, 1)
