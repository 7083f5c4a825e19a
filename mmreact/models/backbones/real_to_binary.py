"""Real-to-Binary (Martinez et al., ICLR 2020, arXiv:2003.11535) on ResNet.

The authors released no code and point to larq zoo's reimplementation, which
fixes what the network is here: the block, the gate and its width, the
shortcut, the stem; parameters agree to the last one. Two choices are ours:

- The 1-bit weights are scaled by ``alpha = mean |W|``; larq's are plain
  signs. A constant per channel is nothing that a learned scale could not
  hold, but with it the convolutions keep their magnitude when weights become
  1-bit. ``weight_binarizer='sign'`` is larq's.
- PReLU's slopes start at 0.25 (larq: 0).
"""
from typing import Optional, Sequence, Tuple, Union

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...functional.estimators import Estimator
from ...layers import (BinaryConv2d, ChannelGate, HalvingPool, LearnedScale,
                       RSign)
from ..utils import check_choice
from .staged import StagedBackbone

SCALES = ('gate', 'learned', 'none')


class RealToBinaryBlock(BaseModule):
    """``y = PReLU(scale * conv3x3(sign(u))) + shortcut(x)``, ``u = BN(x)``.

    The scale is a :class:`ChannelGate` of ``u``, a :class:`LearnedScale` or
    none. The shortcut is the identity or, with stride 2, 2x2 average pooling,
    a real 1x1 convolution and BN.

    Args:
        in_channels, out_channels (int): Channels.
        stride (int): 1 or 2.
        scale (str): 'gate', 'learned' or 'none'.
        size (Tuple[int, int], optional): Height and width of the output, for
            the learned scale.
        activation_binarizer (str): 'sign', 'tanh' or 'real'.
        weight_binarizer (str): For the 3x3 convolution.
        estimator: Pseudo-gradient of the sign.
        norm_cfg (dict): Normalisation layer.

    Shape:
        ``(N, in_channels, H, W)`` ->
        ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int = 1,
                 scale: str = 'gate',
                 size: Optional[Tuple[int, int]] = None,
                 activation_binarizer: str = 'sign',
                 weight_binarizer: str = 'scaled_sign',
                 estimator: Estimator = 'clip',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        self.bn = build_norm_layer(norm_cfg, in_channels)[1]
        self.sign = RSign(
            in_channels,
            estimator,
            learnable=False,
            binarizer=activation_binarizer)
        self.conv = BinaryConv2d(
            in_channels,
            out_channels,
            3,
            stride,
            padding=1,
            weight_binarizer=weight_binarizer)
        self.gate = ChannelGate(in_channels,
                                out_channels) if scale == 'gate' else None
        self.scale = LearnedScale(
            out_channels, size) if scale == 'learned' else nn.Identity()
        self.act = nn.PReLU(out_channels)
        self.shortcut = nn.Sequential()
        if stride == 2:
            self.shortcut.append(HalvingPool())
        if in_channels != out_channels:
            self.shortcut.append(
                nn.Conv2d(in_channels, out_channels, 1, bias=False))
            self.shortcut.append(build_norm_layer(norm_cfg, out_channels)[1])

    def forward(self, x: Tensor) -> Tensor:
        u = self.bn(x)
        y = self.scale(self.conv(self.sign(u)))
        if self.gate is not None:
            y = y * self.gate(u)
        return self.act(y) + self.shortcut(x)


@MODELS.register_module()
class RealToBinaryNet(StagedBackbone):
    """Real-to-Binary network, and the strong baseline of its paper.

    A real 7x7 stem with BN, PReLU and max pooling, and blocks of one 1-bit
    convolution. The stages of training are this class with other binarizers,
    parameters have the same names and shapes: activations 'tanh' and weights
    'real'; 'sign' and 'real'; 'sign' and 'scaled_sign'.

    Args:
        depth (int): 18 or 34 (the paper has 18).
        in_channels (int): Channels of the image. Defaults to 3.
        base_channels (int): Channels of stem and first stage; each stage
            doubles them. Defaults to 64.
        scale (str): What scales a convolution's output. 'gate': a channel
            gate that sees its real input; 'learned': learned factors, the
            strong baseline; or 'none'. Defaults to 'gate'.
        input_size (int | Tuple[int, int]): Height and width of the images,
            which learned factors fix; not used with other scales. Defaults
            to 224.
        activation_binarizer (str): 'sign', 'tanh' or 'real', see
            :class:`mmreact.layers.RSign`. Defaults to 'sign'.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to
            'scaled_sign'.
        estimator (str | dict): Pseudo-gradient of the sign. Defaults to
            'clip'.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Raises:
        ValueError: For an unknown depth, scale, binarizer or estimator, for
            ``base_channels`` that 8, the gates' reduction, does not divide,
            and, in forward, for an input that is too small or, with learned
            factors, of another size.
    """

    #: Depth -> blocks of each stage, one convolution each.
    arch_settings = {18: (4, 4, 4, 4), 34: (6, 8, 12, 6)}

    def __init__(self,
                 depth: int = 18,
                 in_channels: int = 3,
                 base_channels: int = 64,
                 scale: str = 'gate',
                 input_size: Union[int, Tuple[int, int]] = 224,
                 activation_binarizer: str = 'sign',
                 weight_binarizer: str = 'scaled_sign',
                 estimator: Estimator = 'clip',
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        check_choice('depth', depth, self.arch_settings)
        check_choice('scale', scale, SCALES)
        self.stem.extend([
            nn.Conv2d(in_channels, base_channels, 7, 2, padding=3, bias=False),
            build_norm_layer(norm_cfg, base_channels)[1],
            nn.PReLU(base_channels),
            nn.MaxPool2d(3, 2, padding=1)
        ])
        channels, total_stride = base_channels, 4
        for i, number in enumerate(self.arch_settings[depth]):
            width = base_channels * 2**i
            total_stride *= 2 if i > 0 else 1
            # Each halving rounds up, so that all together do too.
            size = tuple(-(-n // total_stride) for n in to_2tuple(input_size))
            self.stages.append(nn.Sequential())
            for j in range(number):
                stride = 2 if i > 0 and j == 0 else 1
                self.stages[-1].append(
                    RealToBinaryBlock(channels, width, stride, scale, size,
                                      activation_binarizer, weight_binarizer,
                                      estimator, norm_cfg))
                channels = width
        self.finish(total_stride, out_indices, frozen_stages, norm_eval)
