"""The table of ONNX's builders, and what they have in common."""
from typing import Callable, Dict, Type

import numpy as np

from ..ops import Operation

#: Operation -> function(operation, graph, *input names) -> output name.
BUILDERS: Dict[Type[Operation], Callable] = {}


def builds(cls: Type[Operation]):

    def register(function):
        BUILDERS[cls] = function
        return function

    return register


def column(values: np.ndarray, rank: int) -> np.ndarray:
    """Constants per channel for a value of this rank."""
    return values.astype(np.float32).reshape(-1, *[1] * (rank - 2))


def affine_nodes(graph, x: str, scale, shift, rank: int) -> str:
    """``scale x + shift``, without what changes nothing."""
    if scale is not None and (scale != 1).any():
        x = graph.add('Mul', x, column(scale, rank))
    if shift.any():
        x = graph.add('Add', x, column(shift, rank))
    return x


def windows(op, end=None) -> dict:
    return dict(
        strides=op.stride,
        pads=(*op.padding, *(op.padding if end is None else end)))
