"""What is known of a tensor whatever the image and the weights are.

The rules say what an operation of torch makes of the notes on its inputs. A
small operation is not looked up but tried: on the few values that its inputs
can have, or, for an input that can have any, on a large, a small and a
negative number.
"""
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import product
from typing import FrozenSet, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

#: More values than these are any values.
MAX_VALUES = 4
#: Try an input that can have any value on these.
TRIED = (-10., -1e-3, 1e-3, 10.)
SIGNS = {'sign', 'sign_', 'sgn', 'sgn_'}
COMPARISONS = {'gt', 'ge', 'lt', 'le', 'eq', 'ne', 'gt_', 'ge_', 'lt_', 'le_'}
#: Operations that give values of their first argument, which may be a list.
COPIES = {
    '_to_copy', '_unsafe_view', 'cat', 'channel_shuffle', 'clone',
    'constant_pad_nd', 'contiguous', 'copy_', 'flip', 'gather', 'im2col',
    'index', 'index_select', 'lift_fresh', 'max_pool2d_with_indices',
    'native_channel_shuffle', 'pixel_shuffle', 'pixel_unshuffle',
    'reflection_pad2d', 'repeat', 'replication_pad2d', 'reshape', 'roll',
    'stack', 'unfold', 'upsample_nearest2d', '_unsafe_index'
}
#: Operations that give 0 where all that they read is 0.
POOLS = {'_adaptive_avg_pool2d', 'avg_pool2d', 'mean'}


class Origin(IntEnum):
    """What a tensor depends on; the largest of its inputs' wins."""
    CONSTANT = 0
    WEIGHTS = 1
    UNKNOWN = 2
    IMAGE = 3


@dataclass(frozen=True)
class Note:
    """What is known of a tensor.

    Attributes:
        origin (Origin): What it depends on.
        parameters (frozenset[str]): Parameters that it was computed from, if
            it does not depend on the image.
        values (frozenset[float], optional): All values that it can have, if
            these are few.
        zeros (bool): Whether exact zeros are among its values with a chance
            of more than none, as behind a ReLU.
        scaled (bool): Whether a factor for each output channel (dimension 0)
            multiplies ``values``.
        minus (tuple, optional): ``(view, note)`` if it is the difference of a
            tensor with that note and that view of a storage.
    """
    origin: Origin = Origin.UNKNOWN
    parameters: FrozenSet[str] = frozenset()
    values: Optional[FrozenSet[float]] = None
    zeros: bool = False
    scaled: bool = False
    minus: Optional[tuple] = None

    @property
    def one_bit(self) -> bool:
        """Whether every value is +1 or -1."""
        return bool(self.values) and self.values <= {1, -1} and not self.scaled

    @property
    def one_bit_weight(self) -> bool:
        """Whether an output channel has the values +a and -a only."""
        return bool(self.values) and len({abs(v) for v in self.values}) == 1


def view_of(tensor: Tensor, storage: object) -> tuple:
    """Equal for tensors that show the same numbers."""
    version = None if tensor.is_inference() else tensor._version
    return (storage, tensor.storage_offset(), tuple(tensor.shape),
            tensor.stride(), version)


def derive(func: torch._ops.OpOverload, args: Sequence, kwargs: dict,
           notes: List[Tuple[Tensor, Note, tuple]], out: Tensor) -> Note:
    """The note on a result that was written by an operation.

    Args:
        func (OpOverload): The operation.
        args, kwargs: Its arguments, without a tensor that it writes to.
        notes (list): Each tensor that it read, its note and
            :func:`view_of` it.
        out (Tensor): The result.
    """
    name = func.overloadpacket.__name__
    read = [note for _, note, _ in notes]
    origin = max((note.origin for note in read), default=Origin.CONSTANT)
    parameters = frozenset()
    if origin != Origin.IMAGE:
        parameters = parameters.union(*(note.parameters for note in read))
    base = Note(origin, parameters)
    if origin == Origin.CONSTANT:
        return replace(base, values=_only_value(out))
    if name in COPIES:
        return _copy(name, args, kwargs, base, notes)
    if name.rstrip('_') in ('sub', 'add') and len(read) == 2:
        known = _straight_through(name, args, kwargs, base, notes)
        if known is not None:
            return known
    if name.rstrip('_') in ('mul', 'div') and len(read) == 2:
        known = _scale(base, notes)
        if known is not None:
            return known
    return _try(func, args, kwargs, base, notes, out)


def _only_value(constant: Tensor) -> Optional[FrozenSet[float]]:
    if constant.numel() == 0 or constant.is_complex():
        return None
    low, high = constant.double().aminmax()
    return frozenset([low.item()]) if low == high else None


def merge(a: Note, b: Note) -> Note:
    """The note on a tensor of which a part has been overwritten."""
    values = None
    if a.values is not None and b.values is not None and not (a.scaled
                                                              or b.scaled):
        values = a.values | b.values
        values = values if len(values) <= MAX_VALUES else None
    return Note(
        max(a.origin, b.origin), a.parameters | b.parameters, values, a.zeros
        or b.zeros)


def _copy(name, args, kwargs, base: Note, notes) -> Note:
    """The union of the values of what is copied."""
    count = len(args[0]) if isinstance(args[0], (list, tuple)) else 1
    copied = [note for _, note, _ in notes][:count]
    values = [note.values for note in copied]
    zeros = any(note.zeros for note in copied)
    if name == 'constant_pad_nd':
        pad = args[2] if len(args) > 2 else kwargs.get('value', 0)
        values.append(frozenset([float(pad)]))
        zeros = zeros or pad == 0
    if name == 'im2col' and any(args[3]):
        values.append(frozenset([0.]))
    together = None
    if all(v is not None for v in values):
        together = frozenset().union(*values)
        together = together if len(together) <= MAX_VALUES else None
    scaled = any(note.scaled for note in copied)
    same = len(copied) == 1 or not scaled
    return replace(
        base,
        values=together if same else None,
        zeros=zeros,
        scaled=scaled and same)


def _straight_through(name, args, kwargs, base, notes) -> Optional[Note]:
    """``a - b``, and ``(a - b) + b``, which has the values of ``a``.

    So public code gives a sign the gradient of another function.
    """
    if kwargs.get('alpha', 1) != 1:
        return None
    (_, first, first_view), (_, second, second_view) = notes
    if name.startswith('sub'):
        if first.values is None:
            return None
        return replace(base, minus=(second_view, first))
    for difference, view in ((first, second_view), (second, first_view)):
        if difference.minus and difference.minus[0] == view:
            source = difference.minus[1]
            return replace(base, values=source.values, scaled=source.scaled)
    return None


def _scale(base: Note, notes) -> Optional[Note]:
    """Few values times a factor for each output channel."""
    (a, first, _), (b, second, _) = notes
    for (tensor, note), (factor, other) in (((a, first), (b, second)),
                                            ((b, second), (a, first))):
        per_channel = factor.numel() == 1 or (
            factor.ndim == tensor.ndim
            and factor.numel() == factor.shape[0] == tensor.shape[0])
        if (note.values is not None and other.values is None and per_channel
                and other.origin < Origin.IMAGE):
            return replace(base, values=note.values, scaled=True)
    return None


def _try(func, args, kwargs, base: Note, notes, out: Tensor) -> Note:
    """Call an elementwise operation on the values of its inputs."""
    name = func.overloadpacket.__name__
    if name in COMPARISONS or out.dtype == torch.bool:
        return replace(base, values=frozenset([0., 1.]), zeros=True)
    if name in POOLS:
        return replace(base, zeros=any(note.zeros for _, note, _ in notes))
    if torch.Tag.pointwise not in func.tags or any(note.scaled
                                                   for _, note, _ in notes):
        return base
    free = [note for _, note, _ in notes if note.values is None]
    tried = TRIED if len(free) == 1 else ()
    choices = [
        sorted(note.values) if note.values is not None else
        (*tried, *[0.] * note.zeros) for _, note, _ in notes
    ]
    results = _call_on(func, args, kwargs, [t for t, *_ in notes], choices)
    zeros = 0. in results
    if not results or len(results) > MAX_VALUES or (free
                                                    and name not in SIGNS):
        return replace(base, zeros=zeros)
    return replace(base, values=frozenset(results), zeros=zeros)


def _call_on(func, args, kwargs, tensors, choices) -> set:
    """What an operation gives for each choice of its inputs' values."""
    rows = list(product(*choices))
    if not rows or not tensors:
        return set()
    columns = {
        id(tensor): torch.tensor(column, dtype=tensor.dtype)
        for tensor, column in zip(tensors, zip(*rows))
    }

    def swap(value):
        if not isinstance(value, Tensor):
            return value
        if id(value) not in columns:  # it is only written to
            return torch.empty(0, dtype=value.dtype)
        return columns[id(value)].clone()

    kwargs = {key: swap(value) for key, value in kwargs.items()}
    try:
        return set(func(*map(swap, args), **kwargs).double().tolist())
    except (RuntimeError, TypeError, NotImplementedError):
        return set()
