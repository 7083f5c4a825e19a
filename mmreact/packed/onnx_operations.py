"""How ONNX computes each operation of a packed program."""
from typing import Callable, Dict, Type

import numpy as np

from . import ops
from .bits import unpack
from .ops import Operation
from .pooling import end_padding, shares

#: Operation -> function(operation, graph, *input names) -> output name.
BUILDERS: Dict[Type[Operation], Callable] = {}


def builds(cls: Type[Operation]):

    def register(function):
        BUILDERS[cls] = function
        return function

    return register


def column(values: np.ndarray, rank: int) -> np.ndarray:
    """Constants per channel for a value of this rank."""
    return values.astype(np.float32).reshape(-1, *[1] * (rank - 2))


def affine_nodes(graph, x: str, scale, shift, rank: int) -> str:
    """``scale x + shift``, without what changes nothing."""
    if scale is not None and (scale != 1).any():
        x = graph.add('Mul', x, column(scale, rank))
    if shift.any():
        x = graph.add('Add', x, column(shift, rank))
    return x


def windows(op, end=None) -> dict:
    return dict(
        strides=op.stride,
        pads=(*op.padding, *(op.padding if end is None else end)))


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


@builds(ops.Concat)
def concat(op, graph, *inputs):
    return graph.add('Concat', *inputs, axis=1)


@builds(ops.Slice)
def channels(op, graph, x):
    start, stop, axis = (np.array([n]) for n in (op.start, op.stop, 1))
    return graph.add('Slice', x, start, stop, axis)


def is_for_one_size(op: Operation) -> bool:
    """Whether the nodes of an operation depend on the size of its image.

    What ``ceil_mode`` does with padding, or with gaps between the windows, is
    not the same everywhere.
    """
    if isinstance(op, (ops.AvgPool2d, ops.MaxPool2d)):
        gaps = any(s > k for s, k in zip(op.stride, op.kernel))
        return op.ceil_mode and (max(op.padding) > 0 or gaps)
    return isinstance(op, ops.AdaptiveAvgPool2d) and op.size != (1, 1)


def pool_attributes(op, graph) -> dict:
    if is_for_one_size(op):
        end = end_padding(op, *graph.sizes(op))
        return dict(kernel_shape=op.kernel, **windows(op, end))
    return dict(
        kernel_shape=op.kernel, **windows(op), ceil_mode=int(op.ceil_mode))


@builds(ops.AvgPool2d)
def avg_pool2d(op, graph, x):
    attributes = pool_attributes(op, graph)
    if not op.ceil_mode:
        include = int(op.count_include_pad)
        return graph.add(
            'AveragePool', x, count_include_pad=include, **attributes)
    y = graph.add('AveragePool', x, **attributes)
    if not is_for_one_size(op):
        return y
    factor = np.outer(*shares(op, *graph.sizes(op))).astype(np.float32)
    return y if (factor == 1).all() else graph.add('Mul', y, factor)


@builds(ops.MaxPool2d)
def max_pool2d(op, graph, x):
    attributes = pool_attributes(op, graph)
    return graph.add('MaxPool', x, dilations=op.dilation, **attributes)


@builds(ops.AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op, graph, x):
    if op.size == (1, 1):
        return graph.add('GlobalAveragePool', x)
    rows, cols = (means(n, o) for n, o in zip(*graph.sizes(op)))
    return graph.add('MatMul', graph.add('MatMul', rows, x), cols.T)


def means(size: int, out: int) -> np.ndarray:
    """``(out, size)``: each row averages one window."""
    matrix = np.zeros((out, size), np.float32)
    for i in range(out):
        start, stop = i * size // out, -(-(i + 1) * size // out)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


@builds(ops.ChannelMean)
def channel_mean(op, graph, x):
    return graph.add('ReduceMean', x, axes=[1], keepdims=1)


@builds(ops.Flatten)
def flatten(op, graph, x):
    return graph.add('Flatten', x, axis=1)
