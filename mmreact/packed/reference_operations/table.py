"""The table of the reference's functions, and what they have in common."""
from typing import Callable, Dict, Type

import numpy as np

from .. import ops

#: Operation -> function(operation, *input arrays) -> array.
FUNCTIONS: Dict[Type[ops.Operation], Callable] = {}


def implements(cls: Type[ops.Operation]):

    def register(function):
        FUNCTIONS[cls] = function
        return function

    return register


def column(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Constants per channel, shaped for ``like``, in float64."""
    return values.astype(np.float64).reshape(-1, *[1] * (like.ndim - 2))
