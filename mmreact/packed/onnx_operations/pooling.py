"""Poolings."""
import numpy as np

from .. import ops
from ..ops import Operation
from ..pooling import end_padding, shares
from .nodes import builds, windows


def is_for_one_size(op: Operation) -> bool:
    """Whether the nodes of an operation depend on the size of its image.

    What ``ceil_mode`` does with padding, or with gaps between the windows, is
    not the same everywhere.
    """
    if isinstance(op, (ops.AvgPool2d, ops.MaxPool2d)):
        gaps = any(s > k for s, k in zip(op.stride, op.kernel))
        return op.ceil_mode and (max(op.padding) > 0 or gaps)
    adaptive = (ops.AdaptiveAvgPool2d, ops.AdaptiveMaxPool2d)
    return isinstance(op, adaptive) and op.size != (1, 1)


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


@builds(ops.AdaptiveMaxPool2d)
def adaptive_max_pool2d(op, graph, x):
    """One window after the other, of rows and then of columns."""
    if op.size == (1, 1):
        return graph.add('GlobalMaxPool', x)
    for axis, size, out in zip((2, 3), *graph.sizes(op)):
        maxima = []
        for i in range(out):
            start, stop = i * size // out, -(-(i + 1) * size // out)
            window = graph.add('Slice', x, np.array([start]), np.array([stop]),
                               np.array([axis]))
            maxima.append(graph.add('ReduceMax', window, axes=[axis]))
        x = graph.add('Concat', *maxima, axis=axis)
    return x


@builds(ops.ChannelMean)
def channel_mean(op, graph, x):
    return graph.add('ReduceMean', x, axes=[1], keepdims=1)
