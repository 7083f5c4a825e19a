"""Poolings."""
import numpy as np
from openvino import opset14 as opset

from .. import ops
from ..pooling import end_padding, shares
from .nodes import builds, constant, windows


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


@builds(ops.AdaptiveMaxPool2d)
def adaptive_max_pool2d(op, graph, x):
    if op.size == (1, 1):
        return opset.reduce_max(x, [2, 3], True)
    return opset.adaptive_max_pool(x, list(op.size), 'i32').output(0)


@builds(ops.ChannelMean)
def channel_mean(op, graph, x):
    return opset.reduce_mean(x, [1], True)
