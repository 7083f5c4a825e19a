"""How functions with weights become operations.

A weight is the tensor that the function gets, whatever the layer around it
made of its parameters.
"""
from typing import Optional, Union

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..packed import ops
from .arrangement import Arranged, arrange
from .draft import Ref
from .rows import Site, lowers, window
from .settling import settle


@lowers(F.conv2d)
def conv2d(site: Site,
           input: Ref,
           weight: Tensor,
           bias: Optional[Tensor] = None,
           stride=1,
           padding=0,
           dilation=1,
           groups: int = 1) -> Ref:
    weight = site.array(weight)
    input, windows = window(site, input, weight.shape[2:], stride, padding,
                            dilation)
    return site.add(
        ops.Conv2d,
        input,
        weight=weight,
        bias=site.array(bias, len(weight), 0.),
        groups=groups,
        **windows)


@lowers(F.linear, views=True)
def linear(site: Site,
           input: Union[Ref, Arranged],
           weight: Tensor,
           bias: Optional[Tensor] = None) -> Union[Ref, Arranged]:
    array = site.array(weight)
    if isinstance(input, Ref):
        return site.add(
            ops.Linear,
            input,
            weight=array,
            bias=site.array(bias, len(array), 0.))
    # The last dimension of an image: a 1x1 convolution.
    require_channels_last(site, input)
    result = conv2d(site, input.base, weight[:, :, None, None], bias)
    return channels_last(site, input, result)


def require_channels_last(site: Site, x: Arranged) -> None:
    site.require(
        len(x.base.shape) == 4 and len(x.dims) > 2
        and x.dims[-1] == arrange(x.base).dims[1],
        f'it runs along the last dimension of {x}; known are the channels')


def channels_last(site: Site, x: Arranged, result: Ref):
    """A result as its input is arranged, with channels of its own."""
    dims = (*x.dims[:-1], arrange(result).dims[1])
    return settle(site, Arranged(result, dims))


@lowers(F.batch_norm)
def batch_norm(site: Site,
               input: Ref,
               running_mean: Optional[Tensor],
               running_var: Optional[Tensor],
               weight: Optional[Tensor] = None,
               bias: Optional[Tensor] = None,
               training: bool = False,
               momentum: float = 0.1,
               eps: float = 1e-5) -> Ref:
    site.require(
        not training and running_var is not None,
        'it takes the statistics of the batch, not running statistics')
    variance = site.array(running_var)
    site.require(bool((variance >= 0).all()), 'a variance is negative')
    scale = site.array(weight, input.channels, 1.) / np.sqrt(variance + eps)
    shift = site.array(bias, input.channels, 0.)
    return site.affine(input, scale, shift - scale * site.array(running_mean))


@lowers(F.prelu, 'prelu')
def prelu(site: Site, input: Ref, weight: Tensor) -> Ref:
    return leaky(site, input, site.array(weight))


@lowers(F.leaky_relu)
def leaky_relu(site: Site,
               input: Ref,
               negative_slope: float = 0.01,
               inplace: bool = False) -> Ref:
    return leaky(site, input, negative_slope)


def leaky(site: Site, x: Ref, slope) -> Ref:
    """``x if x > 0 else slope x``, a slope per channel or for all."""
    slope = site.per_channel(x, slope)
    zeros = np.zeros(len(slope))
    return site.add(ops.RPReLU, x, gamma=zeros, beta=slope, zeta=zeros)
