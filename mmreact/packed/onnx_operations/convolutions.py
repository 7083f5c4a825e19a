"""Convolutions and linear layers in real numbers."""
import numpy as np

from .. import ops
from ..bits import unpack
from ..whole_numbers import sums_whole_numbers
from .nodes import affine_nodes, builds, windows


def convolution(op, graph, x, *constants):
    return graph.add(
        'Conv',
        x,
        *constants,
        **windows(op),
        dilations=op.dilation,
        group=op.groups)


@builds(ops.Conv2d)
def conv2d(op, graph, x):
    return convolution(op, graph, x, op.weight, op.bias)


@builds(ops.ConvTranspose2d)
def conv_transpose2d(op, graph, x):
    """Engines refuse some ``output_padding``; what lies behind the input's
    share is the bias alone.
    """
    more = [o - p for o, p in zip(op.output_padding, op.padding)]
    y = graph.add(
        'ConvTranspose',
        x,
        op.weight,
        **windows(op, [max(0, -n) for n in more]),
        dilations=op.dilation,
        group=op.groups)
    if max(more) > 0:
        end = [max(0, n) for n in more]
        y = graph.add('Pad', y, np.array([0] * 6 + end))
    return affine_nodes(graph, y, None, op.bias, 4)


@builds(ops.Linear)
def linear(op, graph, x):
    return graph.add('Gemm', x, op.weight, op.bias, transB=1)


@builds(ops.BinaryConv2d)
def binary_conv2d(op, graph, x):
    signs = unpack(op.weight, op.in_channels // op.groups)
    weight = graph.signs(signs.transpose(0, 3, 1, 2))
    return scaled_sum(op, graph, convolution(op, graph, x, weight))


@builds(ops.BinaryLinear)
def binary_linear(op, graph, x):
    weight = graph.signs(unpack(op.weight, op.in_channels))
    return scaled_sum(op, graph, graph.add('Gemm', x, weight, transB=1))


def scaled_sum(op, graph, y):
    """The scale and shift of a binary layer after its sum ``y``.

    A sum of signs is an integer. Rounding it changes nothing, but keeps
    engines from multiplying the scale into the weights, where it is summed
    with an error.
    """
    if sums_whole_numbers(op, graph.values, graph.operations):
        y = graph.add('Round', y)
    return affine_nodes(graph, y, op.scale, op.shift, graph.rank(op.name))
