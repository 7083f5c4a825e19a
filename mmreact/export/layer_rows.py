"""How this package's layers become operations.

Layers of torch.nn need no rows: they are traced through to the functions that
they call.
"""
from typing import Union

import numpy as np
import torch
from torch import Tensor

from ..functional import get_weight_binarizer
from ..layers import (ActivationScale, BinaryConv2d, BinaryLinear, ChannelMix,
                      HalvingPool, LearnedScale, RPReLU, RSign)
from ..packed import ops
from ..packed.bits import pack
from .arrangement import Arranged, arrange
from .draft import Ref
from .pooling_rows import avg_pool2d
from .rows import Site, lowers
from .settling import settle
from .weight_rows import channels_last, conv2d, linear, require_channels_last


def binarized(site: Site, layer) -> Tensor:
    """The weights that a 1-bit layer uses.

    The signs are those of the layer's own precision, the scale has that of
    float64.
    """
    site.require_finite(layer.weight)  # NaN has no sign
    function = get_weight_binarizer(layer.weight_binarizer).function
    weight, signs = function(
        layer.weight.detach().double()), layer.weight_signs()
    same = torch.equal(weight > 0, signs)
    return weight if same else torch.where(signs, weight.abs(), -weight.abs())


@lowers(BinaryConv2d)
def binary_conv2d(site: Site, layer: BinaryConv2d, x: Ref) -> Ref:
    site.require(layer.padding_mode == 'zeros',
                 f'padding_mode {layer.padding_mode!r}; known is zeros')
    if not layer.one_bit_weight:
        return conv2d(site, x, layer.weight, layer.bias, layer.stride,
                      layer.padding, layer.dilation, layer.groups)
    weight = binarized(site, layer)
    return site.binary_conv2d(x, weight, layer.bias, layer.stride,
                              layer.padding, layer.dilation, layer.groups)


@lowers(BinaryLinear, views=True)
def binary_linear(site: Site, layer: BinaryLinear,
                  x: Union[Ref, Arranged]) -> Union[Ref, Arranged]:
    if not layer.one_bit_weight:
        return linear(site, x, layer.weight, layer.bias)
    weight = binarized(site, layer)
    x = arrange(x) if len(x.shape) > 2 else x
    if isinstance(x, Arranged):  # a 1x1 convolution
        require_channels_last(site, x)
        result = site.binary_conv2d(x.base, weight[:, :, None, None],
                                    layer.bias, 1, 0, 1, 1)
        return channels_last(site, x, result)
    signs, scale = site.one_bit(weight)
    return site.add(
        ops.BinaryLinear,
        x,
        weight=pack(signs),
        scale=scale,
        shift=site.array(layer.bias, len(signs), 0.),
        in_channels=layer.in_features)


@lowers(RSign, views=True)
def rsign(site: Site, layer: RSign,
          x: Union[Ref, Arranged]) -> Union[Ref, Arranged]:
    if isinstance(x, Arranged):
        channels = arrange(x.base).dims[1]
        dim = layer.channel_dim % len(x.dims)
        site.require(layer.alpha is None or x.dims[dim] == channels,
                     f'its channels are dimension {dim} of {x}')
        return settle(site, Arranged(_rsign(site, layer, x.base), x.dims))
    site.require(
        layer.alpha is None or layer.channel_dim % len(x.shape) == 1,
        f'its channels are dimension {layer.channel_dim} of {x.shape}; known '
        'are dimension 1, and -1 of vectors (N, C)')
    return _rsign(site, layer, x)


def _rsign(site: Site, layer: RSign, x: Ref) -> Ref:
    """Along the channels of the program."""
    alpha = site.array(layer.alpha, x.channels, 0.)
    if layer.binarizer == 'sign':
        return site.sign(x, alpha)
    if layer.alpha is not None:
        part = '' if layer.binarizer == 'real' else 'shift'
        x = site.affine(x, 1., -alpha, part=part)
    if layer.binarizer == 'tanh':
        return site.add(ops.Tanh, x)
    site.require(layer.binarizer == 'real',
                 f'the activation binarizer {layer.binarizer!r} is not known')
    return x


@lowers(LearnedScale)
def learned_scale(site: Site, layer: LearnedScale, x: Ref) -> Ref:
    # The channels' factors apart: they may go into what is before them.
    x = site.affine(x, site.array(layer.alpha), part='channels')
    rows, columns = site.array(layer.beta), site.array(layer.gamma)
    return site.add(ops.Scale, x, factor=np.outer(rows, columns)[None])


@lowers(ActivationScale)
def activation_scale(site: Site, layer: ActivationScale, x: Ref) -> Ref:
    magnitude = site.add(ops.Abs, x, part='abs')
    mean = site.add(ops.ChannelMean, magnitude, part='mean')
    height, width = layer.kernel_size
    return site.add(
        ops.Conv2d,
        mean,
        weight=np.full((1, 1, height, width), 1 / (height * width)),
        bias=np.zeros(1),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation)


@lowers(ChannelMix)
def channel_mix(site: Site, layer: ChannelMix, a: Ref, b: Ref) -> Ref:
    scale = site.array(layer.scale)
    return site.add(ops.Add, site.affine(a, scale, part='first'),
                    site.affine(b, 1 - scale, part='second'))


@lowers(RPReLU)
def rprelu(site: Site, layer: RPReLU, x: Ref) -> Ref:
    return site.add(
        ops.RPReLU,
        x,
        gamma=site.array(layer.gamma),
        beta=site.array(layer.beta),
        zeta=site.array(layer.zeta))


@lowers(HalvingPool)
def halving_pool(site: Site, layer: HalvingPool, x: Ref) -> Ref:
    return avg_pool2d(site, x, 2, ceil_mode=True, count_include_pad=False)
