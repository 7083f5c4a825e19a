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
