"""The table of OpenVINO's builders, and what they have in common."""
from typing import Callable, Dict, Type

import numpy as np
import openvino
from openvino import opset14 as opset

from .. import ops

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


def with_border(x, shape, sides, value: float = 0.):
    """A value around another one of this shape, as a part of it.

    Not as a Pad, which OpenVINO would join with a convolution behind it.

    Args:
        sides (Iterable[Pair]): How many before and after, from the channels
            on.
    """
    shape = list(shape)
    for axis, widths in zip(range(1, len(shape)), sides):
        parts = [x]
        for place, width in zip((0, 2), widths):
            if width:
                border = [*shape[:axis], width, *shape[axis + 1:]]
                parts.insert(place, constant(np.full(border, value)))
        x = opset.concat(parts, axis) if len(parts) > 1 else x
        shape[axis] += sum(widths)
    return x
