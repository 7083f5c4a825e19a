"""How functions of torch and methods of tensors become operations."""
import operator
from math import prod
from typing import Optional, Union

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.utils import _pair

from ..packed import ops
from .draft import Ref
from .layer_rows import NO_BOUND
from .rows import Site, lowers

Number = (int, float)


class Size(str):
    """A size that is free: of the batch, or height or width of an image."""


BATCH, SIDE = Size('batch'), Size('side')


@lowers('size')
def size(site: Site, x: Ref, dim: Optional[int] = None):
    sizes = (BATCH, x.channels, *[SIDE] * (len(x.shape) - 2))
    return sizes if dim is None else sizes[dim]


@lowers(getattr)
def attribute(site: Site, x: Ref, name: str):
    site.require(name == 'shape', f'the attribute {name!r} is not known')
    return size(site, x)


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


@lowers(operator.add, torch.add, 'add')
def add(site: Site, input, other, alpha=1) -> Ref:
    if alpha != 1:
        other = site.affine(
            other, alpha, part='other') if isinstance(other,
                                                      Ref) else alpha * other
    if isinstance(input, Ref) and isinstance(other, Ref):
        return site.add(ops.Add, input, other)
    x, value = (input, other) if isinstance(input, Ref) else (other, input)
    return site.affine(x, 1., _per_channel(site, x, value))


@lowers(operator.sub, torch.sub, 'sub')
def subtract(site: Site, input, other, alpha=1) -> Ref:
    if isinstance(other, Ref):
        return add(site, input, site.affine(other, -alpha, part='negative'))
    return add(site, input, -alpha * other)


@lowers(operator.neg, torch.neg, 'neg')
def negate(site: Site, input: Ref) -> Ref:
    return site.affine(input, -1.)


@lowers(operator.mul, torch.mul, 'mul')
def multiply(site: Site, input, other) -> Ref:
    if isinstance(input, Ref) and isinstance(other, Ref):
        return site.add(ops.Multiply, input, other)
    x, value = (input, other) if isinstance(input, Ref) else (other, input)
    factor = _aligned(site, x, value)
    if prod(factor.shape) == len(factor):
        return site.affine(x, factor.reshape(-1))
    return site.add(ops.Scale, x, factor=factor)


@lowers(operator.truediv, torch.div, 'div')
def divide(site: Site, input: Ref, other) -> Ref:
    site.require(
        isinstance(input, Ref) and isinstance(other, (Tensor, *Number)),
        'known is the division by a constant')
    return multiply(site, input, 1 / torch.as_tensor(other).double())


def _aligned(site: Site, x: Ref, value) -> np.ndarray:
    """A constant beside ``x``, in the dimensions behind the batch's."""
    site.require(
        isinstance(value, (Tensor, *Number)), f'{value!r} is no constant')
    array = site.array(torch.as_tensor(value, dtype=torch.float64))
    shape = (1, ) * (len(x.shape) - array.ndim) + array.shape
    site.require(
        len(shape) == len(x.shape) and shape[0] == 1
        and all(n in (1, m) for n, m in zip(shape, x.shape)),
        f'a constant {array.shape} does not fit {x.shape}')
    return array.reshape(shape[1:])


def _per_channel(site: Site, x: Ref, value) -> np.ndarray:
    array = _aligned(site, x, value)
    site.require(
        prod(array.shape) == len(array),
        f'a constant {array.shape} differs within a channel')
    return array.reshape(-1)


@lowers(torch.flatten, 'flatten')
def flatten(site: Site, input: Ref, start_dim: int = 0, end_dim: int = -1):
    last = len(input.shape) - 1
    site.require(start_dim == 1 and end_dim in (-1, last),
                 'it does not flatten all but the batch')
    return input if last == 1 else site.add(ops.Flatten, input)


@lowers(torch.reshape, 'view', 'reshape')
def view(site: Site, input: Ref, *shape) -> Ref:
    shape = tuple(shape[0]) if isinstance(shape[0], (tuple, list)) else shape
    numbers = prod(input.shape[1:])
    site.require(
        shape in ((BATCH, -1), (BATCH, numbers), (-1, numbers)),
        f'{input.shape} as {tuple(map(str, shape))}; known is (N, -1)')
    return flatten(site, input, 1)


@lowers(torch.mean, 'mean')
def mean(site: Site, input: Ref, dim=None, keepdim: bool = False) -> Ref:
    dims = (dim, ) if isinstance(dim, int) else tuple(dim or ())
    dims = sorted(d % len(input.shape) for d in dims)
    if dims == [2, 3] and len(input.shape) == 4:
        if keepdim:
            return site.add(ops.AdaptiveAvgPool2d, input, size=(1, 1))
        pooled = site.add(
            ops.AdaptiveAvgPool2d, input, part='pool', size=(1, 1))
        return site.add(ops.Flatten, pooled)
    site.require(dims == [1] and keepdim and len(input.shape) == 4,
                 'known are means over (2, 3), and over 1 with keepdim')
    return site.add(ops.ChannelMean, input)


@lowers(F.adaptive_avg_pool2d)
def adaptive_avg_pool2d(site: Site, input: Ref, output_size) -> Ref:
    return site.add(ops.AdaptiveAvgPool2d, input, size=_pair(output_size))


@lowers(F.avg_pool2d)
def avg_pool2d(site: Site,
               input: Ref,
               kernel_size,
               stride=None,
               padding=0,
               ceil_mode: bool = False,
               count_include_pad: bool = True,
               divisor_override=None) -> Ref:
    site.require(divisor_override is None, 'it has a divisor_override')
    return site.add(
        ops.AvgPool2d,
        input,
        kernel=_pair(kernel_size),
        stride=_pair(stride or kernel_size),
        padding=_pair(padding),
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad)


@lowers(F.max_pool2d)
def max_pool2d(site: Site,
               input: Ref,
               kernel_size,
               stride=None,
               padding=0,
               dilation=1,
               ceil_mode: bool = False,
               return_indices: bool = False) -> Ref:
    site.require(not return_indices, 'it returns indices')
    return site.add(
        ops.MaxPool2d,
        input,
        kernel=_pair(kernel_size),
        stride=_pair(stride or kernel_size),
        padding=_pair(padding),
        dilation=_pair(dilation),
        ceil_mode=ceil_mode)


@lowers(F.relu, torch.relu, 'relu')
def relu(site: Site, input: Ref, inplace: bool = False) -> Ref:
    return clamp(site, input, 0.)


@lowers(F.relu6)
def relu6(site: Site, input: Ref, inplace: bool = False) -> Ref:
    return clamp(site, input, 0., 6.)


@lowers(F.hardtanh)
def hardtanh(site: Site,
             input: Ref,
             min_val: float = -1.,
             max_val: float = 1.,
             inplace: bool = False) -> Ref:
    return clamp(site, input, min_val, max_val)


@lowers(torch.clamp, torch.clip, 'clamp', 'clip')
def clamp(site: Site, input: Ref, min=None, max=None) -> Ref:
    low, high = (bound if default is None else default
                 for bound, default in ((-NO_BOUND, min), (NO_BOUND, max)))
    site.require(
        isinstance(low, Number) and isinstance(high, Number),
        'its bounds are no numbers')
    return site.add(ops.Clamp, input, low=float(low), high=float(high))


@lowers(F.sigmoid, torch.sigmoid, 'sigmoid')
def sigmoid(site: Site, input: Ref) -> Ref:
    return site.add(ops.Sigmoid, input)


@lowers(F.tanh, torch.tanh, 'tanh')
def tanh(site: Site, input: Ref) -> Ref:
    return site.add(ops.Tanh, input)


@lowers(operator.abs, abs, torch.abs, 'abs')
def absolute(site: Site, input: Ref) -> Ref:
    return site.add(ops.Abs, input)


@lowers(F.dropout)
def dropout(site: Site,
            input: Ref,
            p: float = 0.5,
            training: bool = True,
            inplace: bool = False) -> Ref:
    site.require(not training or p == 0, 'it drops in eval mode, too')
    return input


@lowers('contiguous', 'detach', 'clone')
def same(site: Site, input: Ref) -> Ref:
    return input
