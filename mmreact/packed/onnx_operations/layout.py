"""What moves numbers."""
import numpy as np

from .. import ops
from .nodes import builds


@builds(ops.Concat)
def concat(op, graph, *inputs):
    return graph.add('Concat', *inputs, axis=1)


@builds(ops.Slice)
def channels(op, graph, x):
    start, stop, axis = (np.array([n]) for n in (op.start, op.stop, 1))
    return graph.add('Slice', x, start, stop, axis)


@builds(ops.Flatten)
def flatten(op, graph, x):
    return graph.add('Flatten', x, axis=1)


@builds(ops.Pad)
def pad(op, graph, x):
    sides = (op.channels, op.rows, op.columns)[:graph.rank(op.name) - 1]
    before, after = zip((0, 0), *sides)
    return graph.add('Pad', x, np.array([*before, *after]),
                     np.float32(op.value))


@builds(ops.Crop)
def crop(op, graph, x):
    start = np.array([op.rows[0], op.columns[0]])
    cut = np.array([op.rows[1], op.columns[1]])
    stop = np.where(cut > 0, -cut, ops.MAX_SIZE)
    return graph.add('Slice', x, start, stop, np.array([2, 3]),
                     np.array(op.stride))


@builds(ops.ChannelShuffle)
def channel_shuffle(op, graph, x):
    channels = np.arange(graph.values[op.name].shape[1])
    return graph.add(
        'Gather', x, channels.reshape(op.groups, -1).T.reshape(-1), axis=1)
