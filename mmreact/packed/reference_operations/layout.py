"""What moves numbers."""
import numpy as np

from .. import ops
from .table import implements


@implements(ops.Concat)
def concat(op, *inputs):
    return np.concatenate(inputs, axis=1)


@implements(ops.Slice)
def channels(op, x):
    return x[:, op.start:op.stop]


@implements(ops.Flatten)
def flatten(op, x):
    return x.reshape(len(x), -1)


@implements(ops.Pad)
def pad(op, x):
    sides = (op.channels, op.rows, op.columns)[:x.ndim - 1]
    keeps = x.dtype == np.int8 and abs(op.value) == 1
    x = x if keeps else x.astype(np.float32)
    return np.pad(x, ((0, 0), *sides), constant_values=x.dtype.type(op.value))


@implements(ops.Crop)
def crop(op, x):
    (top, bottom), (left, right) = op.rows, op.columns
    height, width = x.shape[2:]
    return x[:, :, top:height - bottom:op.stride[0],
             left:width - right:op.stride[1]]


@implements(ops.ChannelShuffle)
def channel_shuffle(op, x):
    turned = x.reshape(len(x), op.groups, -1, *x.shape[2:]).swapaxes(1, 2)
    return turned.reshape(x.shape)
