"""The tables of what can be lowered. A new layer is a function and a row.

::

    @lowers(MyLayer)
    def my_layer(site, layer, x):
        return site.add(ops.Affine, x, scale=site.array(layer.scale),
                        shift=np.zeros(x.channels))
"""
from typing import Callable, Dict, Optional, Tuple, Type, Union

import numpy as np
import torch
from torch import nn
from torch.nn.modules.utils import _pair

from ..packed import ops
from ..packed.bits import pack
from .draft import Draft, LoweringError, Ref
from .sizes import plain

#: Type of a layer -> function(site, layer, *arguments of its forward).
LAYERS: Dict[Type[nn.Module], Callable] = {}
#: Function, or name of a method of tensors -> function(site, *arguments).
FUNCTIONS: Dict[Union[Callable, str], Callable] = {}


def lowers(*keys: Union[Type[nn.Module], Callable, str],
           sizes: bool = False,
           views: bool = False,
           pointwise: bool = False):
    """Make a row: the decorated function lowers these layers or functions.

    It gets a :class:`Site`, for a layer the module, and then what it is called
    with, where values of the program are :class:`Ref`. It returns a Ref, or
    any structure of Refs and plain values.

    A layer of torch.nn is served by the row of the function that it calls.

    Args:
        sizes (bool): The row knows what to do with the number of images and
            with sizes of maps (:mod:`.sizes`) among its arguments. Otherwise
            the number of images is refused, and sizes of maps make the
            program one for this size of image only.
        views (bool): As ``sizes``, and values that are arranged otherwise
            than images and vectors (:mod:`.arrangement`) are taken as such.
        pointwise (bool): Each number of the result depends on one number of
            a value only, so that the arrangement does not matter.
    """

    def register(function: Callable) -> Callable:
        function.sizes, function.views = sizes or views, views
        function.pointwise = pointwise
        for key in keys:
            is_layer = isinstance(key, type) and issubclass(key, nn.Module)
            (LAYERS if is_layer else FUNCTIONS)[key] = function
        return function

    return register


#: What a subclass may change without computing something else.
_HARMLESS = {
    '__init__', '__doc__', '__module__', '__repr__', '__annotations__',
    '__dict__', '__weakref__', '__getstate__', '__setstate__', '__slots__',
    '__static_attributes__', '__firstlineno__', '__parameters__',
    '__orig_bases__', '__init_subclass__', 'extra_repr', '_get_name',
    'reset_parameters', 'init_weights', 'train', '_load_from_state_dict',
    '_save_to_state_dict', '_version', '__deepcopy__'
}  # yapf: disable


def find_layer(module: nn.Module) -> Optional[Callable]:
    """The row of a module: of its type, or of one that it does not change.

    A subclass, or an instance, that overrides anything but constructor and
    description of a known layer computes what its own code says.
    """
    for cls in type(module).__mro__:
        if cls in LAYERS:
            return None if _overrides(module, cls) else LAYERS[cls]
    return None


def _overrides(module: nn.Module, cls: Type[nn.Module]) -> bool:
    """Whether a module has code of its own in place of that of a class."""
    changed = {name for name, x in vars(module).items() if callable(x)}
    for other in type(module).__mro__:
        if other is cls:
            break
        changed |= vars(other).keys()
    return any(hasattr(cls, name) for name in changed - _HARMLESS)


def known() -> str:
    """All rows, for messages."""
    layers = sorted(cls.__name__ for cls in LAYERS)
    functions = sorted(
        {key if isinstance(key, str) else key.__name__
         for key in FUNCTIONS})
    return (f'Known layers: {", ".join(layers)}. Known functions and methods: '
            f'{", ".join(functions)}.')


def window(site: 'Site', x: Ref, kernel, stride, padding,
           dilation) -> Tuple[Ref, dict]:
    """Stride, padding and dilation of a convolution as pairs.

    Padding is "valid", "same" or the same on both sides. What "same" adds
    below and on the right of an even kernel is a border of the image.
    """
    dilation = _pair(dilation)
    if padding == 'valid':
        padding = 0
    elif padding == 'same':
        room = [d * (k - 1) for d, k in zip(dilation, kernel)]
        padding = tuple(n // 2 for n in room)
        if any(n % 2 for n in room):
            rows, columns = ((0, n % 2) for n in room)
            x = site.add(ops.Pad, x, part='pad', rows=rows, columns=columns)
    return x, dict(
        stride=_pair(stride), padding=_pair(padding), dilation=dilation)


class Site:
    """The place in the network that is being lowered.

    Args:
        draft (Draft): Takes the operations.
        path (str): Name of the operation that gives the place's result: the
            layer's path, or that of the module around a function and the
            function's name.
        sized (bool): What is added is for this size of image only.
    """

    def __init__(self, draft: Draft, path: str, sized: bool = False):
        self.draft = draft
        self.path = path
        self.sized = sized

    def add(self,
            cls: Type[ops.Operation],
            *inputs: Ref,
            part: str = '',
            sized: bool = False,
            **constants) -> Ref:
        """Append an operation.

        Args:
            part (str): Names one that is not the last of the site.
            sized (bool): Its constants are those of this size of image.
        """
        name = f'{self.path}.{part}' if part else self.path
        ref = self.draft.add(cls, name, *inputs, **plain(constants))
        if sized or self.sized:
            self.draft.sized.add(ref.name)
        return ref

    def affine(self, x: Ref, scale=1., shift=0., part: str = '') -> Ref:
        """Append ``scale x + shift``; numbers are for all channels."""
        scale, shift = (self.per_channel(x, v) for v in (scale, shift))
        return self.add(ops.Affine, x, part=part, scale=scale, shift=shift)

    def sign(self, x: Ref, threshold=0., part: str = '') -> Ref:
        """Append ``+1 if x > threshold else -1``, per channel or for all."""
        threshold = self.per_channel(x, threshold)
        return self.add(
            ops.Sign,
            x,
            part=part,
            threshold=threshold,
            flip=np.zeros(len(threshold), np.uint8))

    def one_bit(self, weight: torch.Tensor) -> Tuple[np.ndarray, np.ndarray]:
        """Weights +a and -a as signs and a scale for each output channel.

        Raises:
            LoweringError: If a channel holds other numbers.
        """
        weight = self.array(weight)
        scale = np.abs(weight).reshape(len(weight), -1).max(1)
        column = scale.reshape(-1, *[1] * (weight.ndim - 1))
        self.require(
            bool((np.abs(weight) == column).all()),
            'its weights are not +a and -a within an output channel')
        return weight > 0, scale

    def binary_conv2d(self,
                      x: Ref,
                      weight: torch.Tensor,
                      bias: Optional[torch.Tensor] = None,
                      stride=1,
                      padding=0,
                      dilation=1,
                      groups: int = 1) -> Ref:
        """Append a convolution with 1-bit weights.

        Args:
            weight (Tensor): ``(Cout, Cin / groups, kh, kw)``, +a and -a within
                an output channel: one bit stores each.
            bias, stride, padding, dilation, groups: As in
                :func:`torch.nn.functional.conv2d`.
        """
        signs, scale = self.one_bit(weight)
        x, windows = window(self, x, signs.shape[2:], stride, padding,
                            dilation)
        return self.add(
            ops.BinaryConv2d,
            x,
            weight=pack(signs.transpose(0, 2, 3, 1)),
            scale=scale,
            shift=self.array(bias, len(signs), 0.),
            in_channels=signs.shape[1] * groups,
            groups=groups,
            **windows)

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
        self.require(
            isinstance(tensor, torch.Tensor),
            'a constant of it depends on the image or is no tensor')
        self.require_finite(tensor)
        return tensor.detach().double().cpu().numpy()

    def require_finite(self, tensor: torch.Tensor) -> None:
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            self.fail(f'a tensor {tuple(tensor.shape)} of it is not floating '
                      'point or holds NaN or infinity')

    def fail(self, why: str) -> None:
        raise LoweringError(f'{self.path!r} cannot be lowered: {why}.')

    def require(self, condition: bool, why: str) -> None:
        if not condition:
            self.fail(why)
