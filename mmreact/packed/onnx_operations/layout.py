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
