"""How slices and joins of values become operations."""
import operator
from typing import Union

import numpy as np
import torch

from ..packed import ops
from .arrangement import Arranged, arrange
from .draft import Ref
from .rows import Site, lowers
from .settling import settle

FULL = slice(None)


@lowers(operator.getitem, views=True)
def getitem(site: Site, x, index):
    if not isinstance(x, (Ref, Arranged)):
        return x[index]
    index = _one_each(
        index if isinstance(index, tuple) else (index, ), len(arrange(x).dims))
    site.require(
        all(at is None or isinstance(at, (int, slice)) for at in index),
        'known are indices that are slices and integers')
    cuts = [at for at in index if at is not None]
    if isinstance(x, Arranged):
        whole = all(
            at in (FULL, 0) and (at == FULL or not dim)
            for at, dim in zip(cuts, x.dims))
        site.require(whole, f'it is a part of a value arranged as {x}')
    else:
        site.require(cuts[0] == FULL, 'it takes some of the images')
        x = _cut(site, x, cuts)
    dims = iter(arrange(x).dims)
    kept = []
    for at in index:
        dim = () if at is None else next(dims)
        if not isinstance(at, int):
            kept.append(dim)
    return settle(site, Arranged(arrange(x).base, tuple(kept)))


def _one_each(index: tuple, dims: int) -> list:
    """An index without ``...`` and with one entry for each dimension."""
    index = list(index)
    missing = dims - sum(at is not None and at is not ... for at in index)
    if ... not in index:
        index.append(...)
    place = index.index(...)
    return index[:place] + [FULL] * missing + index[place + 1:]


def _cut(site: Site, x: Ref, cuts: list) -> Ref:
    """The channels, rows and columns that are taken."""
    cuts = [
        slice(at, at + 1 or None) if isinstance(at, int) else at for at in cuts
    ]
    sides = [(at, n) for at, n in zip(cuts[2:], x.shape[2:])]
    crops = any(at.indices(n) != (0, n, 1) for at, n in sides)
    if cuts[1].indices(x.channels) != (0, x.channels, 1):
        x = take_channels(site, x, cuts[1], part='channels' if crops else '')
    return _crop(site, x, sides) if crops else x


def take_channels(site: Site, x: Ref, at: slice, part: str = '') -> Ref:
    start, stop, step = at.indices(x.channels)
    site.require(step == 1, f'a slice of the channels has step {step}')
    return site.add(ops.Slice, x, part=part, start=start, stop=stop)


def _crop(site: Site, x: Ref, sides: list) -> Ref:
    """Rows and columns; ends that are counted from the other side are sizes.
    """
    cuts, stride, sized = [], [], False
    for at, n in sides:
        start, stop, step = at.indices(n)
        site.require(step > 0 and len(range(start, stop)) > 0,
                     f'{at} of {n} rows or columns')
        free = at.stop is None or at.stop < 0
        sized |= (at.start or 0) < 0 or not free
        cuts.append((start, n - stop))
        stride.append(step)
    return site.add(
        ops.Crop,
        x,
        rows=cuts[0],
        columns=cuts[1],
        stride=tuple(stride),
        sized=sized)


@lowers('narrow', torch.narrow)
def narrow(site: Site, input: Ref, dim: int, start: int, length: int):
    index = [FULL] * (dim % len(input.shape)) + [slice(start, start + length)]
    return getitem(site, input, tuple(index))


@lowers(torch.chunk, 'chunk')
def chunk(site: Site, input: Ref, chunks: int, dim: int = 0) -> tuple:
    return split(site, input, -(-input.channels // chunks), dim)


@lowers(torch.split, 'split')
def split(site: Site,
          tensor: Ref,
          split_size_or_sections: Union[int, list],
          dim: int = 0) -> tuple:
    _require_channels(site, tensor, dim)
    sizes = split_size_or_sections
    if isinstance(sizes, int):
        whole, rest = divmod(tensor.channels, sizes)
        sizes = [sizes] * whole + [rest] * (rest > 0)
    ends = np.cumsum(sizes).tolist()
    return tuple(
        take_channels(site, tensor, slice(end - n, end))
        for n, end in zip(sizes, ends))


def _require_channels(site: Site, x: Ref, dim: int) -> None:
    site.require(dim % len(x.shape) == 1,
                 f'dimension {dim} of {x.shape} is not that of the channels')


@lowers(torch.cat, torch.concat, torch.concatenate)
def cat(site: Site, tensors, dim: int = 0) -> Ref:
    _require_channels(site, tensors[0], dim)
    if len({x.kind for x in tensors}) > 1:
        tensors = [
            x if x.kind == 'real' else site.affine(x, part='real')
            for x in tensors
        ]
    return site.add(ops.Concat, *tensors)
