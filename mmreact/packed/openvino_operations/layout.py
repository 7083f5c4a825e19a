"""What moves numbers."""
import numpy as np
from openvino import opset14 as opset

from .. import ops
from .nodes import builds, constant, with_border


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


@builds(ops.Flatten)
def flatten(op, graph, x):
    return opset.reshape(x, [0, -1], True)


@builds(ops.Pad)
def pad(op, graph, x):
    return with_border(x, graph.values[op.inputs[0]].shape,
                       (op.channels, op.rows, op.columns), op.value)


@builds(ops.Crop)
def crop(op, graph, x):
    (_, _, height, width) = graph.values[op.inputs[0]].shape
    (top, bottom), (left, right) = op.rows, op.columns
    return opset.slice(x, [top, left], [height - bottom, width - right],
                       list(op.stride), [2, 3])


@builds(ops.ChannelShuffle)
def channel_shuffle(op, graph, x):
    channels = np.arange(graph.values[op.name].shape[1])
    return opset.gather(x, channels.reshape(op.groups, -1).T.reshape(-1), 1)
