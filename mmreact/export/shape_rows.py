"""How slices, joins and other shapes of a value become operations."""
import operator
from math import prod
from typing import Union

import numpy as np
import torch

from ..packed import ops
from .draft import Ref
from .rows import Site, lowers
from .sizes import IMAGES


@lowers(operator.getitem)
def getitem(site: Site, x, index):
    if not isinstance(x, Ref):
        return x[index]
    index = index if isinstance(index, tuple) else (index, )
    whole = [i for i, at in enumerate(index) if at == slice(None)]
    cut = [i for i in range(len(index)) if i not in whole]
    site.require(
        cut in ([], [1]) and len(index) <= len(x.shape)
        and all(isinstance(at, slice) for at in index),
        'known are slices of the channels, x[:, a:b]')
    return _slice(site, x, index[1]) if cut else x


def _slice(site: Site, x: Ref, at: slice) -> Ref:
    start, stop, step = at.indices(x.channels)
    site.require(step == 1, f'a slice has step {step}')
    return site.add(ops.Slice, x, start=start, stop=stop)


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
        _slice(site, tensor, slice(end - n, end))
        for n, end in zip(sizes, ends))


def _require_channels(site: Site, x: Ref, dim: int) -> None:
    site.require(dim % len(x.shape) == 1,
                 f'dimension {dim} of {x.shape} is not that of the channels')


@lowers(torch.cat, torch.concat)
def cat(site: Site, tensors, dim: int = 0) -> Ref:
    _require_channels(site, tensors[0], dim)
    if len({x.kind for x in tensors}) > 1:
        tensors = [
            x if x.kind == 'real' else site.affine(x, part='real')
            for x in tensors
        ]
    return site.add(ops.Concat, *tensors)


@lowers(torch.flatten, 'flatten')
def flatten(site: Site, input: Ref, start_dim: int = 0, end_dim: int = -1):
    last = len(input.shape) - 1
    site.require(start_dim == 1 and end_dim in (-1, last),
                 'it does not flatten all but the batch')
    return input if last == 1 else site.add(ops.Flatten, input)


@lowers(torch.reshape, 'view', 'reshape', sizes=True)
def view(site: Site, input: Ref, *shape) -> Ref:
    shape = tuple(shape[0]) if isinstance(shape[0], (tuple, list)) else shape
    numbers = prod(input.shape[1:])
    site.require(
        shape in ((IMAGES, -1), (IMAGES, numbers), (-1, numbers)),
        f'{input.shape} as {tuple(map(str, shape))}; known is (N, -1)')
    return flatten(site, input, 1)


@lowers('contiguous', 'detach', 'clone')
def same(site: Site, input: Ref) -> Ref:
    return input
