"""Convolutions and linear layers in real numbers."""
import numpy as np
from openvino import opset14 as opset

from .. import ops
from ..bits import unpack
from ..whole_numbers import sums_whole_numbers
from .nodes import affine_node, builds, constant, windows, with_border


def convolution(op, graph, x, weight: np.ndarray):
    """A convolution in real numbers, kept from the faults of OpenVINO."""
    stride, begin, end = windows(op)
    size, out = graph.sizes(op)
    if has_empty_windows(op, weight.shape[2:], size, out):
        # It moves the stride of a 1x1 kernel in front of the padding, and
        # crashes if no window holds a pixel.
        sides = ((0, 0), *((p, p) for p in op.padding))
        x = with_border(x, graph.values[op.inputs[0]].shape, sides)
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


def scaled_sum(op, graph, y):
    """The scale and shift of a binary layer after its sum ``y``.

    As in :mod:`..onnx_operations`, a sum of signs is rounded, so that the
    scale is not multiplied into the weights.
    """
    if sums_whole_numbers(op, graph.values, graph.operations):
        y = opset.round(y, 'half_to_even')
    return affine_node(y, op.scale, op.shift, graph.rank(op.name))


@builds(ops.Conv2d)
def conv2d(op, graph, x):
    return affine_node(convolution(op, graph, x, op.weight), None, op.bias, 4)


@builds(ops.ConvTranspose2d)
def conv_transpose2d(op, graph, x):
    """The convolution of the input, with zeros between the pixels.

    OpenVINO's own deconvolution refuses many paddings and groups.
    """
    shape = graph.values[op.inputs[0]].shape
    x, size = spread(x, shape, op.stride)
    borders = [(0, 0)]
    for axis, (d, k, p, o) in enumerate(
            zip(op.dilation, op.weight.shape[2:], op.padding,
                op.output_padding), 2):
        begin, end = d * (k - 1) - p, d * (k - 1) - p + o
        cut = [max(0, -begin), size[axis - 2] - max(0, -end)]
        x = opset.slice(x, cut[:1], cut[1:], [1], [axis])
        size[axis - 2] = cut[1] - cut[0]
        borders.append((max(0, begin), max(0, end)))
    x = with_border(x, (*shape[:2], *size), borders)
    weight = op.weight[..., ::-1, ::-1].reshape(op.groups, -1,
                                                *op.weight.shape[1:])
    y = opset.group_convolution(x, constant(weight.swapaxes(1, 2)), [1, 1],
                                [0, 0], [0, 0], list(op.dilation))
    return affine_node(y, None, op.bias, 4)


def spread(x, shape, stride):
    """Put ``stride - 1`` zeros between the pixels; the result and its size."""
    n, channels, height, width = shape
    (rows, columns), size = stride, [height, width]
    if rows > 1 or columns > 1:
        images = n * channels
        x = opset.reshape(x, [images, height, 1, width], False)
        x = with_border(x, (images, height, 1, width), [(0, 0), (0, rows - 1)])
        x = opset.reshape(x, [images, height * rows, width, 1], False)
        x = with_border(x, (images, height * rows, width, 1),
                        [(0, 0), (0, 0), (0, columns - 1)])
        x = opset.reshape(x, [n, channels, height * rows, width * columns],
                          False)
        size = [(height - 1) * rows + 1, (width - 1) * columns + 1]
        x = opset.slice(x, [0, 0], size, [1, 1], [2, 3])
    return x, size


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
