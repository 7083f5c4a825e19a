"""The tables of what can be lowered. A new layer is a function and a row.

::

    @lowers(MyLayer)
    def my_layer(site, layer, x):
        return site.add(ops.Affine, x, scale=site.array(layer.scale),
                        shift=np.zeros(x.channels))
"""
from typing import Callable, Dict, Optional, Type, Union

import numpy as np
import torch
from torch import nn

from ..packed import ops
from .draft import Draft, LoweringError, Ref

#: Type of a layer -> function(site, layer, *arguments of its forward).
LAYERS: Dict[Type[nn.Module], Callable] = {}
#: Function, or name of a method of tensors -> function(site, *arguments).
FUNCTIONS: Dict[Union[Callable, str], Callable] = {}


def lowers(*keys: Union[Type[nn.Module], Callable, str]):
    """Make a row: the decorated function lowers these layers or functions.

    It gets a :class:`Site`, for a layer the module, and then what it is called
    with, where values of the program are :class:`Ref`. It returns a Ref, or
    any structure of Refs and plain values.
    """

    def register(function: Callable) -> Callable:
        for key in keys:
            is_layer = isinstance(key, type) and issubclass(key, nn.Module)
            (LAYERS if is_layer else FUNCTIONS)[key] = function
        return function

    return register


def find_layer(module: nn.Module) -> Optional[Callable]:
    """The row of a module: of its type, or of one whose forward it has."""
    for cls in type(module).__mro__:
        if cls in LAYERS and type(module).forward is cls.forward:
            return LAYERS[cls]
    return None


def known() -> str:
    """All rows, for messages."""
    layers = sorted(cls.__name__ for cls in LAYERS)
    functions = sorted(
        {key if isinstance(key, str) else key.__name__
         for key in FUNCTIONS})
    return (f'Known layers: {", ".join(layers)}. Known functions and methods: '
            f'{", ".join(functions)}.')


class Site:
    """The place in the network that is being lowered.

    Args:
        draft (Draft): Takes the operations.
        path (str): Name of the operation that gives the place's result: the
            layer's path, or that of the module around a function and the
            function's name.
    """

    def __init__(self, draft: Draft, path: str):
        self.draft = draft
        self.path = path

    def add(self,
            cls: Type[ops.Operation],
            *inputs: Ref,
            part: str = '',
            **constants) -> Ref:
        """Append an operation; ``part`` names one that is not the last."""
        name = f'{self.path}.{part}' if part else self.path
        return self.draft.add(cls, name, *inputs, **constants)

    def affine(self, x: Ref, scale=1., shift=0., part: str = '') -> Ref:
        """Append ``scale x + shift``; numbers are for all channels."""
        scale, shift = (self.per_channel(x, v) for v in (scale, shift))
        return self.add(ops.Affine, x, part=part, scale=scale, shift=shift)

    def per_channel(self, x: Ref, values) -> np.ndarray:
        """A row of constants; a single one is for all channels."""
        values = np.asarray(values, np.float64).reshape(-1)
        return np.repeat(values, x.channels) if len(values) == 1 else values

    def array(self, tensor: Optional[torch.Tensor], *default) -> np.ndarray:
        """A tensor in float64; for None the default's shape and value.

        Raises:
            LoweringError: If it holds NaN or infinity.
        """
        if tensor is None:
            return np.full(*default, dtype=np.float64)
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            self.fail(f'a tensor {tuple(tensor.shape)} of it is not floating '
                      'point or holds NaN or infinity')
        return tensor.detach().double().numpy()

    def fail(self, why: str) -> None:
        raise LoweringError(f'{self.path!r} cannot be lowered: {why}.')

    def require(self, condition: bool, why: str) -> None:
        if not condition:
            self.fail(why)
