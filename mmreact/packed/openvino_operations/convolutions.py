"""Convolutions and linear layers in real numbers."""
import numpy as np
from openvino import opset14 as opset

from .. import ops
from ..bits import unpack
from .nodes import affine_node, builds, constant, windows


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

    As in :mod:`..onnx_operations`, a sum of signs is rounded, so that the
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
