"""Stand-ins for what a checkpoint's pickle may name; see :mod:`.dry_run`.

Each function takes the arguments of the one that it stands for, checks them
and allocates nothing that the pickle does not hold.
"""
import math
from collections import Counter, OrderedDict
from typing import Any, Dict, Optional

import torch

from .torch_archive import RefusedError

#: How ``bytes`` are written.
LATIN1 = ('latin1', 'latin-1')
#: Types that numbers of numpy have in a checkpoint.
NUMPY_TYPES = {f'{kind}{size}' for kind, sizes in
               dict(i='1248', u='1248', f='248', b='1').items()
               for size in sizes} | {'c8', 'c16'}  # yapf: disable


class StandIn:
    """An object that is not made. It takes any state and keeps none."""

    def __setstate__(self, state: Any) -> None:
        pass


class Storage(StandIn):
    """Elements and their size in bytes."""

    def __init__(self, number: int, itemsize: int):
        self.number = number
        self.itemsize = itemsize

    @property
    def bytes(self) -> int:
        return self.number * self.itemsize


class Tensor(StandIn):
    """Bytes that a copy of a tensor would have."""

    def __init__(self, size: int):
        self.size = size


class _Array(StandIn):
    """A numpy array: its values follow as bytes, and are as many."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, _, values = state
        if not (isinstance(dtype, _Dtype) and isinstance(values, bytes)
                and len(values) == math.prod(shape) * dtype.itemsize):
            raise ValueError('an array is described wrongly')


class _Dtype(StandIn):

    def __init__(self, name: str, align: bool = False, copy: bool = True):
        if name not in NUMPY_TYPES:
            raise RefusedError(f'holds numpy values of type {name!r:.20}, '
                               'which are not read')
        self.itemsize = int(name[1:])


class _Values(StandIn):
    """Something small that is made of values."""

    def __new__(cls, *args):
        return super().__new__(cls)


class _History(StandIn):
    """MMEngine's HistoryBuffer: made without arguments, then given a state."""


def is_plain(key: Any) -> bool:
    """Whether a key is quick to hash, and no collision by intent."""
    return key is None or type(key) in (str, bytes, bool,
                                        float) or (type(key) is int
                                                   and abs(key) < 1 << 64)


def _view(storage: Storage, offset: int, size: tuple, stride: tuple,
          *_) -> Tensor:
    """A tensor that lies within its storage."""
    numbers = [offset, *size, *stride]
    if not isinstance(storage, Storage) or len(size) != len(stride) or any(
            type(n) is not int or n < 0 for n in numbers):
        raise ValueError('a tensor is described wrongly')
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    elements = math.prod(size)
    if elements and last >= storage.number:
        raise ValueError('a tensor is larger than its storage')
    return Tensor(elements * storage.itemsize)


def _untyped_view(storage, offset, size, stride, grad, hooks, dtype,
                  *_) -> Tensor:
    itemsize = dtype.itemsize
    typed = Storage(storage.bytes // itemsize, itemsize)
    return _view(typed, offset, size, stride)


def _parameter(data: Tensor, *_) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError('a parameter is no tensor')
    return data


def _with_attributes(function, kind, args: tuple, state) -> Tensor:
    """A tensor with attributes of its own."""
    if function not in (_view, _untyped_view, _parameter):
        raise ValueError('a tensor is described wrongly')
    return function(*args)


def _array(kind, shape: tuple, code: bytes) -> _Array:
    if shape != (0, ):
        raise ValueError('an array is described wrongly')
    return _Array()


def _number(dtype: _Dtype, value: bytes) -> StandIn:
    if len(value) != dtype.itemsize:
        raise ValueError('a number is described wrongly')
    return StandIn()


def _encode(text: str, encoding: str = '') -> bytes:
    if encoding not in LATIN1:
        raise RefusedError(f'holds bytes encoded as {encoding!r:.20}, which '
                           'are not read')
    return text.encode('latin1')


def _bytearray(value: Any = b'', *encoding) -> bytes:
    if isinstance(value, bytes):
        return value
    return _encode(value, *encoding)


def _plain_set(items: Any = ()) -> set:
    if not all(map(is_plain, items)):
        raise ValueError('a set holds more than texts and numbers')
    return set(items)


def _counter(items: Any = ()) -> Counter:
    if not isinstance(items, dict):
        raise ValueError('a counter is described wrongly')
    return Counter(items)


def _ordered(pairs: Any = ()) -> OrderedDict:
    if not all(is_plain(key) for key, _ in pairs):
        raise ValueError('the key of a dict is no text or number')
    return OrderedDict(pairs)


#: What storages of old are called -> bytes of an element.
STORAGES = dict(
    Double=8, Float=4, Half=2, BFloat16=2, Long=8, Int=4, Short=2, Char=1,
    Byte=1, Bool=1, ComplexDouble=16, ComplexFloat=8)  # yapf: disable
PATHS = ('PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath')
NUMPY = ('numpy.core.multiarray', 'numpy._core.multiarray')

KNOWN: Dict[str, Any] = {
    'collections.OrderedDict': _ordered,
    'collections.Counter': _counter,
    'torch.Size': _Values,
    'torch.device': _Values,
    'torch.Tensor': StandIn(),
    'torch.nn.parameter.Parameter': StandIn(),
    'torch._utils._rebuild_tensor': _view,
    'torch._utils._rebuild_tensor_v2': _view,
    'torch._utils._rebuild_tensor_v3': _untyped_view,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter,
    'torch._tensor._rebuild_from_type_v2': _with_attributes,
    '_codecs.encode': _encode,
    'builtins.bytearray': _bytearray,
    'builtins.set': _plain_set,
    'builtins.complex': _Values,
    'builtins.getattr': _Values,
    'mmengine.logging.history_buffer.HistoryBuffer': _History,
    'argparse.Namespace': StandIn,
    'numpy.ndarray': StandIn(),
    'numpy.dtype': _Dtype,
    **{f'{module}._reconstruct': _array for module in NUMPY},
    **{f'{module}.scalar': _number for module in NUMPY},
    **{f'{module}.{name}': _Values
       for module in ('pathlib', 'pathlib._local') for name in PATHS},
    **{f'torch.{name}Storage': (name, size)
       for name, size in STORAGES.items()},
    'torch.storage.UntypedStorage': ('Untyped', 1),
}  # yapf: disable


def find(name: str) -> Optional[Any]:
    """The stand-in for a dotted name, or None if it is not known.

    What was allowed with ``torch.serialization.add_safe_globals`` is known,
    too.
    """
    if name in KNOWN:
        return KNOWN[name]
    module, _, last = name.rpartition('.')
    if module == 'torch' and isinstance(
            getattr(torch, last, None), torch.dtype):
        return getattr(torch, last)
    allowed = torch.serialization.get_safe_globals()
    names = {
        item[1] if isinstance(item, tuple) else
        f'{item.__module__}.{item.__qualname__}'
        for item in allowed
    }
    return _Values if name in names else None
