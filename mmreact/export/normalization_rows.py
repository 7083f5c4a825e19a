"""How normalizations by what is in the input become operations."""
from typing import Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from ..packed import ops
from .arrangement import Arranged, arrange
from .draft import Ref
from .rows import Site, lowers
from .settling import settle
from .weight_rows import batch_norm

Value = Union[Ref, Arranged]


def along_channels(site: Site, input: Value, dim: Optional[int], cls,
                   **constants) -> Value:
    """An operation over the channels, wherever torch has that dimension."""
    value = arrange(input)
    site.require(
        dim is not None and value.dims[dim] == arrange(value.base).dims[1],
        f'it runs along dimension {dim} of {value}; known are the channels')
    result = site.add(cls, value.base, **constants)
    return settle(site, Arranged(result, value.dims))


@lowers(F.softmax, torch.softmax, 'softmax', views=True)
def softmax(site: Site,
            input: Value,
            dim: Optional[int] = None,
            _stacklevel: int = 3,
            dtype=None) -> Value:
    return along_channels(site, input, dim, ops.Softmax)


@lowers(F.log_softmax, torch.log_softmax, 'log_softmax', views=True)
def log_softmax(site: Site,
                input: Value,
                dim: Optional[int] = None,
                _stacklevel: int = 3,
                dtype=None) -> Value:
    return along_channels(site, input, dim, ops.LogSoftmax)


@lowers(F.layer_norm, torch.layer_norm, views=True)
def layer_norm(site: Site,
               input: Value,
               normalized_shape,
               weight: Optional[Tensor] = None,
               bias: Optional[Tensor] = None,
               eps: float = 1e-5,
               cudnn_enable: bool = True) -> Value:
    channels = arrange(input).base.channels
    if len(normalized_shape) == 1:
        return along_channels(
            site,
            input,
            -1,
            ops.LayerNorm,
            weight=site.array(weight, channels, 1.),
            bias=site.array(bias, channels, 0.),
            eps=eps)
    site.require(
        isinstance(input, Ref) and weight is None and bias is None
        and len(normalized_shape) == 3,
        f'it is over {tuple(normalized_shape)}; known is the normalization '
        'over the channels and, without weights, over all of an image')
    return group_norm(site, input, 1, eps=eps)


@lowers(F.group_norm, torch.group_norm)
def group_norm(site: Site,
               input: Ref,
               num_groups: int,
               weight: Optional[Tensor] = None,
               bias: Optional[Tensor] = None,
               eps: float = 1e-5,
               cudnn_enabled: bool = True) -> Ref:
    return site.add(
        ops.GroupNorm,
        input,
        weight=site.array(weight, input.channels, 1.),
        bias=site.array(bias, input.channels, 0.),
        groups=num_groups,
        eps=eps)


@lowers(F.instance_norm)
def instance_norm(site: Site,
                  input: Ref,
                  running_mean: Optional[Tensor] = None,
                  running_var: Optional[Tensor] = None,
                  weight: Optional[Tensor] = None,
                  bias: Optional[Tensor] = None,
                  use_input_stats: bool = True,
                  momentum: float = 0.1,
                  eps: float = 1e-5) -> Ref:
    """Groups of one channel or, with running statistics, a BN."""
    if not use_input_stats:
        return batch_norm(
            site, input, running_mean, running_var, weight, bias, eps=eps)
    return group_norm(site, input, input.channels, weight, bias, eps)
