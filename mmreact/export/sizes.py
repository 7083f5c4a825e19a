"""What a forward may know while it is traced: sizes, but no numbers.

The shape of the image is given, so a size is an integer. The number of images
stays free: it is a node of the graph. Shapes are found by running each step
on tensors without data, for a number of images that is a large prime, so that
any multiple of it is seen to be one.
"""
from typing import Any, Callable, List

import torch
from torch import Tensor, fx

#: The number of images while shapes are found: the millionth prime.
IMAGES = 15_485_863
#: Other integers between these come from the number of images.
_LOW, _HIGH = IMAGES // 2, 64 * IMAGES
#: What gives a list along a dimension, by default the first.
_LISTS = ('unbind', 'split', 'split_with_sizes', 'vsplit')


class Images(int):
    """A multiple of the number of images, in units of ``IMAGES``."""


class Side(int):
    """A height or width of a map, or what is computed from one.

    ``use`` is called when the size decides something that cannot be followed:
    the network then is one for this size of image only.
    """

    use: Callable[[], None]

    def __new__(cls, value: int, use: Callable[[], None]):
        self = super().__new__(cls, value)
        self.use = use
        return self

    def __deepcopy__(self, memo):
        return self


def _keeps(name: str) -> Callable:
    """An operator whose result is a size again."""

    def method(self, *others):
        result = getattr(int, name)(self, *others)
        return Side(result, self.use) if type(result) is int else result

    return method


def _uses(name: str) -> Callable:
    """An operator that gives something else."""

    def method(self, *others):
        self.use()
        return getattr(int, name)(self, *others)

    return method


for _name in ('add', 'sub', 'mul', 'floordiv', 'mod'):
    for _side in ('', 'r'):
        setattr(Side, f'__{_side}{_name}__', _keeps(f'__{_side}{_name}__'))
Side.__neg__ = _keeps('__neg__')
for _name in ('truediv', 'rtruediv', 'pow', 'eq', 'ne', 'lt', 'le', 'gt', 'ge',
              'float', 'int', 'bool'):
    setattr(Side, f'__{_name}__', _uses(f'__{_name}__'))
Side.__hash__ = int.__hash__


class Sized(fx.Proxy):
    """A proxy that knows what it stands for as far as shapes go.

    Attributes:
        value: A tensor on the device 'meta', a plain value, or a structure
            of them; None if it is not known.
    """

    value: Any = None

    def __getattr__(self, name: str):
        if name == 'device':
            return torch.device('cpu')
        kind = getattr(type(self.value), name, None)
        if self.value is None or kind is None or callable(kind):
            return super().__getattr__(name)
        return self.tracer.create_proxy('call_function', getattr, (self, name),
                                        {})

    def __len__(self) -> int:
        if isinstance(self.value, Tensor) and self.value.ndim:
            return self.value.shape[0]
        return len(self.value) if _is_sequence(
            self.value) else super().__len__()

    def __index__(self) -> int:
        raise fx.proxy.TraceError(
            'a fixed number is needed, by a loop or for a tensor that does '
            'not depend on the image, where the number of images is given')

    def __iter__(self):
        if not isinstance(self.value, Tensor) and not _is_sequence(self.value):
            return super().__iter__()
        if len(self) % IMAGES == 0:
            return self.tracer.iter(self)
        return iter([self[i] for i in range(len(self))])


def _is_sequence(value) -> bool:
    return isinstance(value, (tuple, list))


def tensors_of(value) -> List[Tensor]:
    """All tensors in a structure."""
    found: List[Tensor] = []
    fx.node.map_aggregate(
        value, lambda x: found.append(x) if isinstance(x, Tensor) else None)
    return found


def is_images(value) -> bool:
    """Whether an integer is a multiple of the number of images."""
    return type(value) is int and value != 0 and value % IMAGES == 0


def is_mixed(value) -> bool:
    """Whether an integer was computed from the number of images."""
    return type(value) is int and _LOW < abs(value) < _HIGH


def plain(value):
    """A structure with integers in the place of sizes."""
    return fx.node.map_aggregate(
        value, lambda x: int.__int__(x) if isinstance(x, Side) else x)


def without_data(value):
    """A structure with what its proxies stand for, and tensors without data.

    Raises:
        LookupError: If that is not known.
    """
    if isinstance(value, fx.Proxy):
        if getattr(value, 'value', None) is None:
            raise LookupError(f'the shape of {value} is not known')
        return value.value
    if isinstance(value, Tensor):
        return value.detach().to('meta')
    if isinstance(value, torch.device):
        return torch.device('meta')
    if isinstance(value, dict):
        return {
            key: 'meta' if key == 'device' else without_data(x)
            for key, x in value.items()
        }
    if isinstance(value, slice):
        return slice(*map(without_data, (value.start, value.stop, value.step)))
    if type(value) in (tuple, list):
        return type(value)(map(without_data, value))
    return int.__int__(value) if isinstance(value, Side) else value


def lists_images(target, args, kwargs) -> bool:
    """Whether a call gives a list with an entry for each image."""
    name = getattr(target, '__name__', target)
    dims = [*args[1 if name == 'unbind' else 2:], kwargs.get('dim', 0)]
    return name in _LISTS and dims[0] in (0, -args[0].ndim)
