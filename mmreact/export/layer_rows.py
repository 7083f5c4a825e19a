"""How layers become operations."""
from typing import Tuple

import numpy as np
from torch import nn
from torch.nn.modules.utils import _pair

from ..functional import get_weight_binarizer
from ..layers import (ActivationScale, BinaryConv2d, BinaryLinear, ChannelMix,
                      HalvingPool, LearnedScale, RPReLU, RSign)
from ..packed import ops
from ..packed.bits import pack
from .draft import Ref
from .rows import Site, lowers

NO_BOUND = ops.Clamp.high


@lowers(nn.Identity, nn.Dropout, nn.Dropout2d)
def identity(site: Site, layer, x: Ref) -> Ref:
    return x


def geometry(site: Site, conv: nn.Conv2d) -> dict:
    """Stride, padding, dilation and groups of a convolution."""
    site.require(conv.padding_mode == 'zeros',
                 f'padding_mode {conv.padding_mode!r}; known is zeros')
    padding = conv.padding
    if padding == 'valid':
        padding = (0, 0)
    elif padding == 'same':
        room = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size)]
        site.require(not any(n % 2 for n in room),
                     'padding "same" with an even kernel is not symmetric')
        padding = tuple(n // 2 for n in room)
    return dict(
        stride=_pair(conv.stride),
        padding=_pair(padding),
        dilation=_pair(conv.dilation),
        groups=conv.groups)


@lowers(nn.Conv2d)
def conv2d(site: Site, layer: nn.Conv2d, x: Ref) -> Ref:
    weight = site.array(layer.weight)
    return site.add(
        ops.Conv2d,
        x,
        weight=weight,
        bias=site.array(layer.bias, len(weight), 0.),
        **geometry(site, layer))


@lowers(nn.Linear)
def linear(site: Site, layer: nn.Linear, x: Ref) -> Ref:
    weight = site.array(layer.weight)
    return site.add(
        ops.Linear,
        x,
        weight=weight,
        bias=site.array(layer.bias, len(weight), 0.))


def one_bit(site: Site, layer) -> Tuple[np.ndarray, np.ndarray]:
    """The signs of a binary layer's weights and the scale of each output."""
    site.array(layer.weight)  # NaN has no sign
    binarizer = get_weight_binarizer(layer.weight_binarizer)
    weight = site.array(binarizer.function(layer.weight.detach().double()))
    scale = np.abs(weight).reshape(len(weight), -1).max(1)
    column = scale.reshape(-1, *[1] * (weight.ndim - 1))
    site.require(
        bool((np.abs(weight) == column).all()),
        f'the weights of {layer.weight_binarizer!r} are not +a and -a')
    return weight > 0, scale


@lowers(BinaryConv2d)
def binary_conv2d(site: Site, layer: BinaryConv2d, x: Ref) -> Ref:
    bias = site.array(layer.bias, layer.out_channels, 0.)
    if not layer.one_bit_weight:
        return conv2d(site, layer, x)
    signs, scale = one_bit(site, layer)
    return site.add(
        ops.BinaryConv2d,
        x,
        weight=pack(signs.transpose(0, 2, 3, 1)),
        scale=scale,
        shift=bias,
        in_channels=layer.in_channels,
        **geometry(site, layer))


@lowers(BinaryLinear)
def binary_linear(site: Site, layer: BinaryLinear, x: Ref) -> Ref:
    if not layer.one_bit_weight:
        return linear(site, layer, x)
    signs, scale = one_bit(site, layer)
    return site.add(
        ops.BinaryLinear,
        x,
        weight=pack(signs),
        scale=scale,
        shift=site.array(layer.bias, len(signs), 0.),
        in_channels=layer.in_features)


@lowers(nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
def batch_norm(site: Site, layer, x: Ref) -> Ref:
    site.require(layer.running_var is not None,
                 'it has no running statistics (track_running_stats)')
    variance = site.array(layer.running_var)
    site.require(bool((variance >= 0).all()), 'a variance is negative')
    scale = site.array(layer.weight, x.channels,
                       1.) / np.sqrt(variance + layer.eps)
    shift = site.array(layer.bias, x.channels, 0.)
    return site.affine(x, scale,
                       shift - scale * site.array(layer.running_mean))


@lowers(RSign)
def rsign(site: Site, layer: RSign, x: Ref) -> Ref:
    alpha = site.array(layer.alpha, x.channels, 0.)
    site.require(
        layer.alpha is None or layer.channel_dim % len(x.shape) == 1,
        f'its channels are dimension {layer.channel_dim} of {x.shape}; known '
        'are dimension 1, and -1 of vectors (N, C)')
    if layer.binarizer == 'sign':
        return site.add(
            ops.Sign, x, threshold=alpha, flip=np.zeros(len(alpha), np.uint8))
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


def _leaky(site: Site, x: Ref, slope) -> Ref:
    slope = site.per_channel(x, slope)
    zeros = np.zeros(len(slope))
    return site.add(ops.RPReLU, x, gamma=zeros, beta=slope, zeta=zeros)


@lowers(nn.PReLU)
def prelu(site: Site, layer: nn.PReLU, x: Ref) -> Ref:
    return _leaky(site, x, site.array(layer.weight))


@lowers(nn.LeakyReLU)
def leaky_relu(site: Site, layer: nn.LeakyReLU, x: Ref) -> Ref:
    return _leaky(site, x, layer.negative_slope)


@lowers(nn.ReLU)
def relu(site: Site, layer, x: Ref) -> Ref:
    return site.add(ops.Clamp, x, low=0., high=NO_BOUND)


@lowers(nn.Hardtanh, nn.ReLU6)
def hardtanh(site: Site, layer: nn.Hardtanh, x: Ref) -> Ref:
    return site.add(
        ops.Clamp, x, low=float(layer.min_val), high=float(layer.max_val))


@lowers(nn.Sigmoid)
def sigmoid(site: Site, layer, x: Ref) -> Ref:
    return site.add(ops.Sigmoid, x)


@lowers(nn.Tanh)
def tanh(site: Site, layer, x: Ref) -> Ref:
    return site.add(ops.Tanh, x)


@lowers(nn.AvgPool2d, HalvingPool)
def avg_pool2d(site: Site, layer: nn.AvgPool2d, x: Ref) -> Ref:
    site.require(layer.divisor_override is None, 'it has a divisor_override')
    return site.add(
        ops.AvgPool2d,
        x,
        kernel=_pair(layer.kernel_size),
        stride=_pair(layer.stride),
        padding=_pair(layer.padding),
        ceil_mode=layer.ceil_mode,
        count_include_pad=layer.count_include_pad)


@lowers(nn.MaxPool2d)
def max_pool2d(site: Site, layer: nn.MaxPool2d, x: Ref) -> Ref:
    site.require(not layer.return_indices, 'it returns indices')
    return site.add(
        ops.MaxPool2d,
        x,
        kernel=_pair(layer.kernel_size),
        stride=_pair(layer.stride),
        padding=_pair(layer.padding),
        dilation=_pair(layer.dilation),
        ceil_mode=layer.ceil_mode)


@lowers(nn.AdaptiveAvgPool2d)
def adaptive_avg_pool2d(site: Site, layer, x: Ref) -> Ref:
    size = _pair(layer.output_size)
    site.require(None not in size, f'its output size is {size}')
    return site.add(ops.AdaptiveAvgPool2d, x, size=size)


@lowers(nn.Flatten)
def flatten(site: Site, layer: nn.Flatten, x: Ref) -> Ref:
    last = layer.end_dim % len(x.shape)
    site.require((layer.start_dim, last) == (1, len(x.shape) - 1),
                 'it does not flatten all but the batch')
    return x if len(x.shape) == 2 else site.add(ops.Flatten, x)
