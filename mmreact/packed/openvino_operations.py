"""How OpenVINO computes each operation of a packed program."""
from typing import Callable, Dict, Type

import numpy as np
import openvino
from openvino import opset14 as opset

from . import ops
from .bits import unpack
from .pooling import end_padding, shares

#: Operation -> function(operation, graph, *inputs) -> node.
BUILDERS: Dict[Type[ops.Operation], Callable] = {}


def builds(cls: Type[ops.Operation]):

    def register(function):
        BUILDERS[cls] = function
        return function

    return register


def constant(values) -> openvino.Node:
    return opset.constant(np.ascontiguousarray(values, np.float32))


def column(values: np.ndarray, rank: int) -> openvino.Node:
    """Constants per channel for a value of this rank."""
    return constant(values.reshape(1, -1, *[1] * (rank - 2)))


def affine_node(x, scale, shift, rank: int):
    """``scale x + shift``, without what changes nothing."""
    if scale is not None and (scale != 1).any():
        x = opset.multiply(x, column(scale, rank))
    if shift.any():
        x = opset.add(x, column(shift, rank))
    return x


def windows(op, end=None):
    """Strides, and the padding at the beginning and at the end."""
    return list(op.stride), list(op.padding), list(end or op.padding)


def convolution(op, graph, x, weight: np.ndarray):
    """A convolution in real numbers, kept from the faults of OpenVINO."""
    stride, begin, end = windows(op)
    size, out = graph.sizes(op)
    if has_empty_windows(op, weight.shape[2:], size, out):
        # It moves the stride of a 1x1 kernel in front of the padding, and
        # crashes if no window holds a pixel.
        x = with_border(x, graph.values[op.inputs[0]].shape, begin)
        begin = end = [0, 0]
    crop = out[1] == 1 and stride[1] > stride[0]
    if crop:  # Of one channel it computes the one column wrongly.
        stride = [stride[0], 1]
    if op.groups == 1:
        y = opset.convolution(x, constant(weight), stride, begin, end,
                              op.dilation)
    else:
        weight = weight.reshape(op.groups, -1, *weight.shape[1:])
        y = opset.group_convolution(x, constant(weight), stride, begin, end,
                                    op.dilation)
    return opset.slice(y, [0], [1], [1], [3]) if crop else y


def has_empty_windows(op, kernel, size, out) -> bool:
    """Whether a window lies beside the image, or around it with gaps."""
    for n, o, k, s, p, d in zip(size, out, kernel, op.stride, op.padding,
                                op.dilation):
        taps = np.add.outer(s * np.arange(o) - p, d * np.arange(k))
        if not ((taps >= 0) & (taps < n)).any(1).all():
            return True
    return False


def with_border(x, shape, padding):
    """Zeros around an image of this shape, as a part of it."""
    shape = list(shape)
    for axis, width in zip((2, 3), padding):
        if width:
            zeros = constant(
                np.zeros([*shape[:axis], width, *shape[axis + 1:]]))
            x = opset.concat([zeros, x, zeros], axis)
            shape[axis] += 2 * width
    return x


def scaled_sum(op, graph, y):
    """The scale and shift of a binary layer after its sum ``y``.

    As in :mod:`.onnx_operations`, a sum of signs is rounded, so that the
    scale is not multiplied into the weights.
    """
    if graph.is_sign(op.inputs[0]):
        y = opset.round(y, 'half_to_even')
    return affine_node(y, op.scale, op.shift, graph.rank(op.name))


@builds(ops.Conv2d)
def conv2d(op, graph, x):
    return affine_node(convolution(op, graph, x, op.weight), None, op.bias, 4)


@builds(ops.Linear)
def linear(op, graph, x):
    y = opset.matmul(x, constant(op.weight), False, True)
    return affine_node(y, None, op.bias, 2)


@builds(ops.BinaryConv2d)
def binary_conv2d(op, graph, x):
    signs = unpack(op.weight, op.in_channels // op.groups)
    y = convolution(op, graph, x, signs.transpose(0, 3, 1, 2))
    return scaled_sum(op, graph, y)


@builds(ops.BinaryLinear)
def binary_linear(op, graph, x):
    weight = constant(unpack(op.weight, op.in_channels))
    return scaled_sum(op, graph, opset.matmul(x, weight, False, True))


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


@builds(ops.Concat)
def concat(op, graph, x, *others):
    shape = graph.values[op.inputs[0]].shape
    if others and len(shape) == 4 and shape[1] == 1 and all(
            other is x for other in others):
        # OpenVINO copies one channel wrongly in some layouts.
        ones = constant(np.ones((1 + len(others), 1, 1, 1)))
        return opset.convolution(x, ones, [1, 1], [0, 0], [0, 0], [1, 1])
    return opset.concat([x, *others], 1)


@builds(ops.Slice)
def channels(op, graph, x):
    return opset.slice(x, [op.start], [op.stop], [1], [1])


@builds(ops.AvgPool2d)
def avg_pool2d(op, graph, x):
    sizes = graph.sizes(op)
    y = opset.avg_pool(x, *windows(op, end_padding(op, *sizes)),
                       list(op.kernel), True)
    factor = np.outer(*shares(op, *sizes))
    return y if (factor == 1).all() else opset.multiply(y, constant(factor))


@builds(ops.MaxPool2d)
def max_pool2d(op, graph, x):
    stride, begin, end = windows(op, end_padding(op, *graph.sizes(op)))
    return opset.max_pool(x, stride, list(op.dilation), begin, end,
                          list(op.kernel))


@builds(ops.AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op, graph, x):
    if op.size == (1, 1):
        return opset.reduce_mean(x, [2, 3], True)
    return opset.adaptive_avg_pool(x, list(op.size))


@builds(ops.ChannelMean)
def channel_mean(op, graph, x):
    return opset.reduce_mean(x, [1], True)


@builds(ops.Flatten)
def flatten(op, graph, x):
    return opset.reshape(x, [0, -1], True)
