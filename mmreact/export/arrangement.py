"""Values that torch holds in another shape than a packed program does.

A program knows images ``(N, C, H, W)`` and vectors ``(N, C)``. In between a
forward may view an image as ``(N, groups, C / groups, H, W)`` or ``(N, H, W,
C)``. No operation is needed for that: it is written down where in the image
each dimension runs, until the shape is that of an image or a vector again.
"""
from dataclasses import dataclass
from math import prod
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from .draft import Ref
from .sizes import IMAGES


class Run(NamedTuple):
    """``size`` steps of ``stride`` along an axis of the value.

    ``axis`` is -1 for a dimension that repeats what is there (``expand``).
    """
    axis: int
    stride: int
    size: int


Dim = Tuple[Run, ...]


@dataclass(frozen=True)
class Arranged:
    """A value of the program, and the runs of which each dimension consists.

    The last run of a dimension is the fastest; one of size 1 has none.
    """
    base: Ref
    dims: Tuple[Dim, ...]

    @property
    def shape(self) -> Tuple[int, ...]:
        """As in torch, with ``IMAGES`` images."""
        return tuple(prod(run.size for run in dim) for dim in self.dims)

    def __str__(self) -> str:
        names = {0: 'N', 1: 'C', 2: 'H', 3: 'W', -1: 'repeated'}
        full = _axes(self.base)
        words = [
            ' '.join(names[run.axis] + ('' if run in full else f':{run.size}')
                     for run in dim) or '1' for dim in self.dims
        ]
        return f'({", ".join(words)})'


def shape_of(ref: Ref) -> Tuple[int, ...]:
    """The shape of a value with ``IMAGES`` images."""
    return (IMAGES, *ref.shape[1:])


def _axes(ref: Ref) -> List[Run]:
    return [Run(axis, 1, n) for axis, n in enumerate(shape_of(ref))]


def arrange(value) -> Arranged:
    """A value with the dimensions that it has."""
    if isinstance(value, Arranged):
        return value
    return Arranged(value, tuple(map(_dim, ([run] for run in _axes(value)))))


def _dim(runs: Sequence[Run]) -> Dim:
    """Without runs of one step, and neighbours joined."""
    joined: List[Run] = []
    for run in runs:
        if run.size == 1:
            continue
        if joined and joined[-1].axis == run.axis and (
                joined[-1].stride == run.stride * run.size):
            run = Run(run.axis, run.stride, joined.pop().size * run.size)
        joined.append(run)
    return tuple(joined)


def regroup(value: Arranged, shape: Sequence[int]) -> Arranged:
    """View it in another shape; one size may be -1.

    Raises:
        ValueError: If the sizes do not fit.
    """
    runs = [run for dim in value.dims for run in dim]
    total, known = prod(r.size for r in runs), prod(n for n in shape
                                                    if n != -1)
    shape = [total // known if n == -1 else n for n in shape]
    if prod(shape) != total:
        raise ValueError('the sizes do not fit')
    return Arranged(value.base, tuple(_take(runs, n) for n in shape))


def _take(runs: List[Run], size: int) -> Dim:
    """Remove runs of ``size`` steps from the front."""
    taken: List[Run] = []
    while size > 1:
        run = runs.pop(0)
        if size % run.size:
            inner, rest = divmod(run.size, size)
            if rest:
                raise ValueError('a dimension is cut apart')
            runs.insert(0, Run(run.axis, run.stride, inner))
            run = Run(run.axis, run.stride * inner, size)
        taken.append(run)
        size //= run.size
    return _dim(taken)


def permute(value: Arranged, order: Sequence[int]) -> Arranged:
    """As ``Tensor.permute``."""
    return Arranged(value.base, tuple(value.dims[d] for d in order))


def expand(value: Arranged, shape: Sequence[int]) -> Arranged:
    """As ``Tensor.expand``."""
    new = len(shape) - len(value.dims)
    dims = ((), ) * new + value.dims
    return Arranged(
        value.base,
        tuple(
            dim if dim or n in (1, -1) else (Run(-1, 0, n), )
            for dim, n in zip(dims, shape)))


def without_repeats(value: Arranged) -> Arranged:
    """Before ``expand``."""
    return Arranged(
        value.base,
        tuple(
            tuple(run for run in dim if run.axis >= 0) for dim in value.dims))


def is_whole(value: Arranged) -> bool:
    """Whether each number of the value occurs, and once."""
    runs = [run for dim in value.dims for run in dim]
    return (all(run.axis >= 0 for run in runs)
            and prod(run.size for run in runs) == prod(shape_of(value.base)))


def to_base(value: Arranged, x: np.ndarray,
            shape: Sequence[int]) -> np.ndarray:
    """Numbers that torch holds like ``value``, as the program holds them.

    Args:
        value (Arranged): See :func:`is_whole`.
        x (ndarray): Of any number of images.
        shape (Sequence[int]): ``(N, C, H, W)`` or ``(N, C)`` of the result.
    """
    sizes, order = _layout(value, shape)
    return x.reshape(sizes).transpose(order).reshape(shape)


def from_base(value: Arranged, x: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_base`."""
    sizes, order = _layout(value, x.shape)
    split = x.reshape([sizes[i] for i in order]).transpose(np.argsort(order))
    taken = iter(sizes)
    return split.reshape(
        [prod(next(taken) for _ in dim) for dim in value.dims])


def _layout(value: Arranged, shape: Sequence[int]):
    """The size of each run, and which run comes as which in the value."""
    runs = [run for dim in value.dims for run in dim]
    full = _axes(value.base)
    sizes = [shape[r.axis] if r == full[r.axis] else r.size for r in runs]
    order = sorted(
        range(len(runs)), key=lambda i: (runs[i].axis, -runs[i].stride))
    return sizes, order


def channel_order(value: Arranged) -> List[int]:
    """Which channel of the value each channel of the arrangement is.

    Raises:
        ValueError: If these are not images or vectors with the channels in
            another order.
    """
    axes = arrange(value.base).dims
    batch, channels, *sides = value.dims
    if batch != axes[0] or sides != list(axes[2:2 + len(sides)]):
        raise ValueError('it is no image or vector')
    rest = axes[2 + len(sides):]
    behind = tuple(run for dim in rest for run in dim)
    if channels[len(channels) - len(behind):] != behind:
        raise ValueError('it is no image or vector')
    channels = channels[:len(channels) - len(behind)]
    order = [0]
    for axis, stride, size in channels:
        if axis != 1:
            raise ValueError('it is no image or vector')
        order = [at + stride * i for at in order for i in range(size)]
    if len(order) != value.base.channels:
        raise ValueError('it is no image or vector')
    return order
