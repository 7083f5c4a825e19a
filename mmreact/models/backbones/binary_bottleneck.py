"""Bottlenecks whose every 1-bit convolution has a shortcut (Bi-Real Net).

A bottleneck's convolutions have different widths, so that one shortcut cannot
bypass each of them. Bi-Real Net passes two real-valued maps from block to
block: a narrow one of ``width`` channels beside the first two convolutions and
a wide one of ``4 * width`` beside the third.

For 50 layers the authors' code (liuzechun/Bi-Real-net, BiReal_50) fixes the
block. For 152 layers (Liu et al., arXiv:1811.01335) there is no code, and no
text that we could read says how the block is made; the options `style` and
`first_block` are there for it. Deviations from the code: ``sign(0)`` is -1
(there: 0), odd feature maps are halved upwards, and latent weights start with
both signs.
"""
from typing import Optional, Tuple

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...functional.estimators import Estimator
from ...layers import BinaryConv2d, HalvingPool, LeakyClip, RSign
from ..utils import ACTIVATIONS

STYLES = ('pytorch', 'caffe')
FIRST_BLOCKS = ('real', 'sign')


class BinaryBottleneck(BaseModule):
    """Three 1-bit convolutions beside a narrow map ``n`` and a wide one ``w``.

    With ``bconv(x) = BN(conv(sign(x)))`` and shortcuts ``s``::

        a  = act1(bconv1x1(w) + s1(n))
        n' = act2(bconv3x3(a) + s2(a))
        w' = act3(bconv1x1(n') + s3(w))

    The shortcuts are identities, but where the width changes ``s1`` is a real
    1x1 convolution and ``s3`` one with BN; 2x2 average pooling is in front of
    them where their convolution has stride 2.

    Args:
        in_channels (Tuple[int, int]): Channels of ``n`` and ``w``.
        width (int): Channels of ``n'``; ``w'`` has four times as many.
        stride (int): 1 or 2.
        style (str): As in MMPretrain's ResNet, the stride is that of the 3x3
            convolution ('pytorch') or of the first 1x1 ('caffe').
        activation, rsign, estimator, weight_binarizer, activation_binarizer,
            norm_cfg: See :class:`BinaryBasicBlock`.

    Shape:
        A tuple of two ``(N, C, H, W)`` -> a tuple of ``(N, width, H', W')``
        and ``(N, 4 * width, H', W')`` with ``H' = ceil(H / stride)``.
    """

    def __init__(self,
                 in_channels: Tuple[int, int],
                 width: int,
                 stride: int = 1,
                 style: str = 'pytorch',
                 activation: str = 'none',
                 rsign: bool = False,
                 estimator: Estimator = 'approx',
                 weight_binarizer: str = 'scaled_sign',
                 activation_binarizer: str = 'sign',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        narrow, wide = in_channels
        strides = (1, stride) if style == 'pytorch' else (stride, 1)

        def bconv(in_channels, out_channels, kernel=1, stride=1):
            return nn.Sequential(
                RSign(in_channels, estimator, rsign, activation_binarizer),
                BinaryConv2d(
                    in_channels,
                    out_channels,
                    kernel,
                    stride,
                    padding=kernel // 2,
                    weight_binarizer=weight_binarizer),
                build_norm_layer(norm_cfg, out_channels)[1])

        def shortcut(in_channels, out_channels, stride, norm=True):
            layers = nn.Sequential()
            if stride == 2:
                layers.append(HalvingPool())
            if in_channels != out_channels:
                layers.append(
                    nn.Conv2d(in_channels, out_channels, 1, bias=False))
                if norm:
                    layers.append(build_norm_layer(norm_cfg, out_channels)[1])
            return layers

        act = ACTIVATIONS[activation]
        self.conv1 = bconv(wide, width, 1, strides[0])
        self.shortcut1 = shortcut(narrow, width, strides[0], norm=False)
        self.act1 = act(width)
        self.conv2 = bconv(width, width, 3, strides[1])
        self.shortcut2 = shortcut(width, width, strides[1])
        self.act2 = act(width)
        self.conv3 = bconv(width, 4 * width)
        self.shortcut3 = shortcut(wide, 4 * width, stride)
        self.act3 = act(4 * width)

    def forward(self, maps: Tuple[Tensor, Tensor]) -> Tuple[Tensor, Tensor]:
        n, w = maps
        a = self.act1(self.conv1(w) + self.shortcut1(n))
        n = self.act2(self.conv2(a) + self.shortcut2(a))
        w = self.act3(self.conv3(n) + self.shortcut3(w))
        return n, w


class FirstBottleneck(BinaryBottleneck):
    """The block behind the stem, which gives one map ``x``, not two.

    Args:
        width (int): Channels of ``x``.
        kind (str): 'real', as in the authors' code for 50 layers: a real 1x1
            convolution of the leaky-clipped ``x`` and BN without a shortcut
            come first, and a real one with BN leads ``x`` to the wide map.
            'sign': the first convolution is 1-bit, ``x`` its shortcut, and
            four copies of ``x`` lead to the wide map.
        **kwargs: Of :class:`BinaryBottleneck`.

    Shape:
        ``(N, width, H, W)`` -> a tuple of ``(N, width, H, W)`` and
        ``(N, 4 * width, H, W)``.
    """

    def __init__(self, width: int, kind: str = 'real', **kwargs):
        super().__init__((width, width), width, **kwargs)
        self.kind = kind
        if kind == 'sign':
            self.shortcut3 = None
        else:
            bn = self.conv1[-1]
            self.conv1 = nn.Sequential(LeakyClip(),
                                       nn.Conv2d(width, width, 1, bias=False),
                                       bn)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        a = self.conv1(x)
        if self.kind == 'sign':
            a, w = a + x, torch.cat([x] * 4, 1)
        else:
            w = self.shortcut3(x)
        a = self.act1(a)
        n = self.act2(self.conv2(a) + a)
        return n, self.act3(self.conv3(n) + w)
