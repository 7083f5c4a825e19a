"""ResNets in which a shortcut bypasses every 1-bit convolution.

Bi-Real Net (Liu et al., ECCV 2018) bypasses every convolution instead of
every two; ReActNet's ResNet variant and Real-to-Binary do the same. Where the
number of channels changes, the shortcut is a 2x2 average pooling and a
**real** 1x1 convolution with BN; the stem has no activation. With 18 and 34
layers the blocks are single 3x3 convolutions, with 50 and 152 the bottlenecks
of :mod:`.binary_bottleneck`.
"""
from typing import Dict, Optional, Sequence

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...functional.estimators import Estimator
from ...layers import BinaryConv2d, HalvingPool, RSign
from ..utils import ACTIVATIONS, check_choice
from .binary_bottleneck import (FIRST_BLOCKS, STYLES, BinaryBottleneck,
                                FirstBottleneck)
from .staged import StagedBackbone


class BinaryBasicBlock(BaseModule):
    """``y = act(BN(conv3x3(sign(x))) + shortcut(x))``.

    Args:
        in_channels, out_channels (int): Channels.
        stride (int): 1 or 2.
        activation (str): A key of :data:`mmreact.models.utils.ACTIVATIONS`.
        rsign (bool): Learnable thresholds, else the plain sign.
        estimator: Pseudo-gradient of the sign.
        weight_binarizer (str): For the 3x3 convolution.
        activation_binarizer (str): For the sign.
        norm_cfg (dict): Normalisation layer.

    Shape:
        ``(N, in_channels, H, W)`` ->
        ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int = 1,
                 activation: str = 'none',
                 rsign: bool = False,
                 estimator: Estimator = 'approx',
                 weight_binarizer: str = 'scaled_sign',
                 activation_binarizer: str = 'sign',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        self.sign = RSign(in_channels, estimator, rsign, activation_binarizer)
        self.conv = BinaryConv2d(
            in_channels,
            out_channels,
            3,
            stride,
            padding=1,
            weight_binarizer=weight_binarizer)
        self.bn = build_norm_layer(norm_cfg, out_channels)[1]
        self.shortcut = nn.Sequential()
        if stride == 2:
            self.shortcut.append(HalvingPool())
        if in_channels != out_channels:
            self.shortcut.append(
                nn.Conv2d(in_channels, out_channels, 1, bias=False))
            self.shortcut.append(build_norm_layer(norm_cfg, out_channels)[1])
        self.act = ACTIVATIONS[activation](out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(self.sign(x))) + self.shortcut(x))


class BinaryResNet(StagedBackbone):
    """The chain of such blocks that the networks of this file are.

    Args:
        depth (int): A key of ``arch_settings``.
        in_channels (int): Channels of the image. Defaults to 3.
        base_channels (int): Channels of stem and first stage; each stage
            doubles them. Defaults to 64.
        small_input (bool): A 3x3 stem without stride and pooling, for images
            of 32x32. Defaults to False: 7x7 with stride 2 and max pooling.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`.
        activation_binarizer (str): 'sign', 'tanh' or 'real', see
            :class:`mmreact.layers.RSign`. Defaults to 'sign'.
        estimator (str | dict): Pseudo-gradient of the sign.
        rsign (bool): Learnable thresholds.
        activation (str): 'rprelu', 'prelu' or 'none'.
        style (str, optional): 'pytorch' or 'caffe', see
            :class:`BinaryBottleneck`. Defaults to that of the depth.
        first_block (str, optional): 'real' or 'sign', see
            :class:`FirstBottleneck`. Defaults to that of the depth.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Raises:
        ValueError: For an unknown depth, activation, binarizer, estimator,
            style or first block, or the last two without bottlenecks.
    """

    #: Depth -> blocks of each stage.
    arch_settings = {18: (4, 4, 4, 4), 34: (6, 8, 12, 6)}
    #: Depth with bottlenecks -> their options.
    bottlenecks: Dict[int, dict] = {}

    def __init__(self,
                 depth: int = 18,
                 in_channels: int = 3,
                 base_channels: int = 64,
                 small_input: bool = False,
                 weight_binarizer: str = 'scaled_sign',
                 activation_binarizer: str = 'sign',
                 estimator: Estimator = 'approx',
                 rsign: bool = False,
                 activation: str = 'none',
                 style: Optional[str] = None,
                 first_block: Optional[str] = None,
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        check_choice('depth', depth, self.arch_settings)
        check_choice('activation', activation, ACTIVATIONS)
        style, first_block = self._bottleneck_options(depth, style,
                                                      first_block)
        options = dict(
            activation=activation,
            rsign=rsign,
            estimator=estimator,
            weight_binarizer=weight_binarizer,
            activation_binarizer=activation_binarizer,
            norm_cfg=norm_cfg)
        kernel, stride = (3, 1) if small_input else (7, 2)
        self.stem.append(
            nn.Conv2d(
                in_channels,
                base_channels,
                kernel,
                stride,
                padding=kernel // 2,
                bias=False))
        self.stem.append(build_norm_layer(norm_cfg, base_channels)[1])
        if not small_input:
            self.stem.append(nn.MaxPool2d(3, 2, padding=1))

        channels = base_channels
        for i, number in enumerate(self.arch_settings[depth]):
            stage = nn.Sequential()
            for j in range(number):
                width = base_channels * 2**i
                stride = 2 if i > 0 and j == 0 else 1
                if depth not in self.bottlenecks:
                    block = BinaryBasicBlock(channels, width, stride,
                                             **options)
                elif i == j == 0:
                    block = FirstBottleneck(width, first_block, **options)
                else:
                    block = BinaryBottleneck((channels, 4 * channels), width,
                                             stride, style, **options)
                stage.append(block)
                channels = width
            self.stages.append(stage)
        self.finish(8 if small_input else 32, out_indices, frozen_stages,
                    norm_eval)

    def _bottleneck_options(self, depth, style, first_block):
        """Return style and kind of first block, by default the depth's."""
        if depth in self.bottlenecks:
            defaults = self.bottlenecks[depth]
            style = style or defaults['style']
            first_block = first_block or defaults['first_block']
            check_choice('style', style, STYLES)
            check_choice('first_block', first_block, FIRST_BLOCKS)
        elif style or first_block:
            raise ValueError('style and first_block are options of '
                             f'bottlenecks; depth {depth} has none.')
        return style, first_block


@MODELS.register_module()
class BiRealNet(BinaryResNet):
    """Bi-Real Net: no nonlinearity beside the sign, ApproxSign gradient.

    With 50 layers the bottlenecks are those of the authors' code. With 152
    they have the style and the first block that come nearest to the printed
    operations.

    See :class:`BinaryResNet` for the arguments.
    """

    arch_settings = {
        **BinaryResNet.arch_settings, 50: (3, 4, 6, 3),
        152: (3, 8, 36, 3)
    }
    bottlenecks = {
        50: dict(style='pytorch', first_block='real'),
        152: dict(style='caffe', first_block='sign')
    }


@MODELS.register_module()
class ReActResNet(BinaryResNet):
    """ReActNet on ResNet: RSign and RPReLU in Bi-Real Net's blocks.

    See :class:`BinaryResNet` for the arguments.
    """

    def __init__(self,
                 depth: int = 18,
                 rsign: bool = True,
                 activation: str = 'rprelu',
                 **kwargs):
        super().__init__(depth, rsign=rsign, activation=activation, **kwargs)
