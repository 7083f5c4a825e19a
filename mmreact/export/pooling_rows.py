"""How pooling functions become operations."""
from typing import Union

import torch
import torch.nn.functional as F
from torch.nn.modules.utils import _pair

from ..packed import ops
from .arrangement import Arranged, arrange
from .draft import Ref
from .rows import Site, lowers
from .settling import settle
from .sizes import Side

Value = Union[Ref, Arranged]


@lowers(F.avg_pool2d, sizes=True)
def avg_pool2d(site: Site,
               input: Ref,
               kernel_size,
               stride=None,
               padding=0,
               ceil_mode: bool = False,
               count_include_pad: bool = True,
               divisor_override=None) -> Ref:
    site.require(divisor_override is None, 'it has a divisor_override')
    if covers(input, kernel_size, padding):
        return site.add(ops.AdaptiveAvgPool2d, input, size=(1, 1))
    site.sized |= any(isinstance(n, Side) for n in _pair(kernel_size))
    return site.add(
        ops.AvgPool2d,
        input,
        kernel=_pair(kernel_size),
        stride=_pair(stride or kernel_size),
        padding=_pair(padding),
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad)


def covers(x: Ref, kernel_size, padding) -> bool:
    """Whether a window was asked to have the size of the map."""
    kernel = _pair(kernel_size)
    return kernel == x.shape[2:] and _pair(padding) == (0, 0) and all(
        isinstance(n, Side) for n in kernel)


@lowers(F.max_pool2d, torch.max_pool2d)
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


@lowers(F.adaptive_avg_pool2d)
def adaptive_avg_pool2d(site: Site, input: Ref, output_size) -> Ref:
    size, sized = _adaptive_size(input, output_size)
    if _pair(output_size) == (None, None):
        return input
    return site.add(ops.AdaptiveAvgPool2d, input, size=size, sized=sized)


def _adaptive_size(x: Ref, output_size):
    """Height and width, and whether one is that of the map."""
    size = _pair(output_size)
    sizes = tuple(n or int(m) for n, m in zip(size, x.shape[2:]))
    return sizes, None in size


@lowers(F.adaptive_max_pool2d)
def adaptive_max_pool2d(site: Site,
                        input: Ref,
                        output_size,
                        return_indices: bool = False) -> Ref:
    site.require(not return_indices, 'it returns indices')
    size, sized = _adaptive_size(input, output_size)
    return site.add(ops.AdaptiveMaxPool2d, input, size=size, sized=sized)


@lowers(torch.amax, 'amax')
def amax(site: Site, input: Ref, dim=(), keepdim: bool = False):
    dims = (dim, ) if isinstance(dim, int) else dim
    site.require(
        sorted(d % len(input.shape) for d in dims) == [2, 3],
        'known is the maximum over height and width')
    y = adaptive_max_pool2d(site, input, 1)
    return y if keepdim else settle(site, Arranged(y, arrange(y).dims[:2]))


@lowers(torch.mean, 'mean', views=True)
def mean(site: Site,
         input: Value,
         dim=None,
         keepdim: bool = False,
         dtype=None) -> Value:
    value = arrange(input)
    dims = (dim, ) if isinstance(dim, int) else tuple(dim or ())
    gone = {d % len(value.dims) for d in dims}
    site.require(0 not in gone and gone, 'it is the mean over images')
    runs = {run for d in gone for run in value.dims[d]}
    kept = tuple(dim if d not in gone else ()
                 for d, dim in enumerate(value.dims)
                 if keepdim or d not in gone)
    base = _mean(site, value.base, runs, part='' if keepdim else 'pool')
    return settle(site, Arranged(base, kept))


def _mean(site: Site, x: Ref, runs: set, part: str) -> Ref:
    """The mean along whole axes, of which 1 is left."""
    axes = {run.axis for run in runs}
    whole = {run for dim in arrange(x).dims for run in dim}
    site.require(
        len(x.shape) == 4 and runs <= whole
        and (axes <= {2, 3} or axes == {1}),
        'known are means over height and width, and over the channels')
    if not axes:
        return x
    if axes == {1}:
        return site.add(ops.ChannelMean, x, part=part)
    source, other = site.draft.partial.get(x.name, (x, None))
    if axes == {2, 3} or other in axes or 1 in x.shape[2:]:
        return site.add(ops.AdaptiveAvgPool2d, source, part=part, size=(1, 1))
    kernel = tuple(n if axis in axes else 1
                   for axis, n in zip((2, 3), x.shape[2:]))
    ref = site.add(
        ops.AvgPool2d, x, part=part, kernel=kernel, stride=kernel, sized=True)
    site.draft.partial[ref.name] = x, 5 - axes.pop()
    return ref
