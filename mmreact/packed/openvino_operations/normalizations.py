"""Normalizations."""
from math import prod

import numpy as np
from openvino import opset14 as opset

from .. import ops
from .nodes import affine_node, builds


def normalize(x, axis, number, eps):
    """Subtract the mean along an axis and divide by the deviation.

    Sums of ``number`` values, not means: the CPU device replaces the formula
    with means by its MVN, which ends the process on AVX2 where the values do
    not fill a vector (seen in 2026.4).
    """

    def mean(values):
        total = opset.reduce_sum(values, [axis], True)
        return opset.multiply(total, np.float32(1 / number))

    centred = opset.subtract(x, mean(x))
    variance = mean(opset.multiply(centred, centred))
    return opset.divide(centred,
                        opset.sqrt(opset.add(variance, np.float32(eps))))


@builds(ops.GroupNorm)
def group_norm(op, graph, x):
    shape = graph.values[op.name].shape
    groups = opset.reshape(x, [0, op.groups, -1], True)
    normal = normalize(groups, 2, prod(shape[1:]) // op.groups, op.eps)
    y = opset.reshape(normal, list(shape), False)
    return affine_node(y, op.weight, op.bias, len(shape))


@builds(ops.LayerNorm)
def layer_norm(op, graph, x):
    shape = graph.values[op.name].shape
    normal = normalize(x, 1, shape[1], op.eps)
    return affine_node(normal, op.weight, op.bias, len(shape))


@builds(ops.Softmax)
def softmax(op, graph, x):
    return opset.softmax(x, 1)


@builds(ops.LogSoftmax)
def log_softmax(op, graph, x):
    return opset.log_softmax(x, 1)
