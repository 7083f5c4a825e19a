"""How pooling functions become operations."""
import torch
import torch.nn.functional as F
from torch.nn.modules.utils import _pair

from ..packed import ops
from .draft import Ref
from .rows import Site, lowers


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
    size = _pair(output_size)
    site.require(None not in size, f'its output size is {size}')
    return site.add(ops.AdaptiveAvgPool2d, input, size=size)


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
