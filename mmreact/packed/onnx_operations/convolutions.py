"""Convolutions and linear layers in real numbers."""
from .. import ops
from ..bits import unpack
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
    if graph.is_sign(op.inputs[0]):
        y = graph.add('Round', y)
    return affine_nodes(graph, y, op.scale, op.shift, graph.rank(op.name))
