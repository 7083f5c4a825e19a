"""BNext (Guo et al., arXiv:2211.12933).

ReActNet's chain of 3x3 and 1x1 convolutions, in which a real-valued gate
recouples the output of every 1-bit convolution with its input, and every
other 3x3 convolution is multiplied by its shortcut. All details are those of
the authors' code (hpi-xnor/BNext, src/bnext.py): which blocks attend, where
BN and PReLU are, one RSign for each 1x1 convolution, weights without a scale.

Deviations: there weights are binarized little by little (``clamp(w / t)``
with ``t`` falling by a tenth each epoch until the sign takes its place) and
clamped to 1.5, their gradient being that of the latent weight; here they are
signs from the start, with a gradient up to 1. ``sign(0)`` is -1 (there: 0).
PReLUs that the code has and never calls are left out.
"""
from typing import Optional, Sequence, Tuple, Union

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...functional.estimators import Estimator
from ...layers import BinaryConv2d, ChannelGate, ChannelMix, HalvingPool, RSign
from ..utils import check_choice, check_widths, parse_blocks
from .staged import StagedBackbone


class BNextUnit(BaseModule):
    """A 1-bit convolution, its gate and its shortcut; channels stay.

    With ``p`` the identity or, at stride 2, 2x2 average pooling::

        y = PReLU(BN1(conv(sign(x))))
        y = gate(mix(p(x), y)) * y              recoupling
        z = p(x)                    out = BN2(y) + z
        z = p(PReLU(x))             out = BN2(y * z) + z   with attention

    Without recoupling the gate is left out, and BN2 too unless there is
    attention.

    Args:
        channels (int): Channels of input and output.
        kernel (int): 3 or 1.
        stride (int): 1 or 2.
        attention (bool): Multiply by the shortcut, element by element.
        recoupling (bool): Gate the output.
        rsign, estimator, weight_binarizer, activation_binarizer, norm_cfg:
            See :class:`BNext`.

    Shape:
        ``(N, channels, H, W)`` ->
        ``(N, channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self,
                 channels: int,
                 kernel: int,
                 stride: int = 1,
                 attention: bool = False,
                 recoupling: bool = True,
                 rsign: bool = True,
                 estimator: Estimator = dict(type='clip', threshold=1.5),
                 weight_binarizer: str = 'sign',
                 activation_binarizer: str = 'sign',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        self.attention = attention
        self.recoupling = recoupling
        self.sign = RSign(channels, estimator, rsign, activation_binarizer)
        self.conv = BinaryConv2d(
            channels,
            channels,
            kernel,
            stride,
            padding=kernel // 2,
            weight_binarizer=weight_binarizer)
        self.bn1 = build_norm_layer(norm_cfg, channels)[1]
        self.act = nn.PReLU(channels)
        self.pool = nn.Identity() if stride == 1 else HalvingPool()
        if attention:
            self.shortcut_act = nn.PReLU(channels)
        if recoupling:
            self.mix = ChannelMix(channels)
            self.gate = ChannelGate(channels, channels, bias=True)
        if attention or recoupling:
            self.bn2 = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv(self.sign(x))))
        z = pooled = self.pool(x)
        if self.recoupling:
            y = self.gate(self.mix(pooled, y)) * y
        if self.attention:
            z = self.pool(self.shortcut_act(x))
            y = y * z
        if self.attention or self.recoupling:
            y = self.bn2(y)
        return y + z


class BNextBlock(BaseModule):
    """A 3x3 unit and, beside each other, one or two 1x1 units.

    Args:
        in_channels (int): Input channels.
        out_channels (int): ``in_channels`` or twice as many, which two 1x1
            units give, concatenated.
        stride (int): 1 or 2, of the 3x3 unit.
        attention (bool): Of the 3x3 unit.
        **kwargs: Of :class:`BNextUnit`.

    Shape:
        ``(N, in_channels, H, W)`` ->
        ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int = 1,
                 attention: bool = False,
                 init_cfg: Optional[dict] = None,
                 **kwargs):
        super().__init__(init_cfg)
        self.unit3x3 = BNextUnit(in_channels, 3, stride, attention, **kwargs)
        self.units1x1 = nn.ModuleList(
            BNextUnit(in_channels, 1, **kwargs)
            for _ in range(out_channels // in_channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.unit3x3(x)
        outs = [unit(x) for unit in self.units1x1]
        return torch.cat(outs, 1) if len(outs) > 1 else outs[0]


@MODELS.register_module()
class BNext(StagedBackbone):
    """BNext backbone.

    A real-valued 3x3 stem (convolution and BN), a chain of
    :class:`BNextBlock`, of which the second and every other one after it
    attend, and a PReLU at the end.

    Args:
        arch (str | Sequence[Tuple[int, int]]): 'tiny', or a list of
            ``(out_channels, stride)``, one a block.
        in_channels (int): Channels of the image. Defaults to 3.
        stem_channels (int, optional): Output channels of the stem. Defaults
            to 32 for 'tiny'; needed with an explicit list.
        stem_stride (int): Stride of the stem. Defaults to 2.
        attention (bool): Attention at all, else in no block (ablation).
            Defaults to True.
        recoupling (bool): The gates (ablation). Defaults to True.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to 'sign'.
        activation_binarizer (str): 'sign', 'tanh' or 'real', see
            :class:`mmreact.layers.RSign`. Defaults to 'sign'.
        estimator (str | dict): Pseudo-gradient of the activations' sign.
            Defaults to the identity clipped at 1.5.
        rsign (bool): RSign, else the plain sign. Defaults to True.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`; a stage ends where the next block
            has stride 2.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Raises:
        ValueError: For an unknown arch, binarizer or estimator, widths that
            neither stay nor double, or that 8 does not divide, which is the
            reduction of the gates.
    """

    arch_settings = dict(
        tiny=dict(
            stem_channels=32,
            blocks=((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
                    *[(512, 1)] * 5, (1024, 2), (1024, 1))))

    def __init__(self,
                 arch: Union[str, Sequence[Tuple[int, int]]] = 'tiny',
                 in_channels: int = 3,
                 stem_channels: Optional[int] = None,
                 stem_stride: int = 2,
                 attention: bool = True,
                 recoupling: bool = True,
                 weight_binarizer: str = 'sign',
                 activation_binarizer: str = 'sign',
                 estimator: Estimator = dict(type='clip', threshold=1.5),
                 rsign: bool = True,
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        if isinstance(arch, str):
            check_choice('arch', arch, self.arch_settings)
            settings = self.arch_settings[arch]
            stem_channels = stem_channels or settings['stem_channels']
            arch = settings['blocks']
        blocks = parse_blocks(arch, stem_channels)
        check_widths(stem_channels, blocks)
        self.stem.append(
            nn.Conv2d(
                in_channels,
                stem_channels,
                3,
                stem_stride,
                padding=1,
                bias=False))
        self.stem.append(build_norm_layer(norm_cfg, stem_channels)[1])
        min_size, channels = stem_stride, stem_channels
        for i, (out_channels, stride) in enumerate(blocks):
            if stride > 1 or not self.stages:
                self.stages.append(nn.Sequential())
            self.stages[-1].append(
                BNextBlock(
                    channels,
                    out_channels,
                    stride,
                    attention and i % 2 == 1,
                    recoupling=recoupling,
                    rsign=rsign,
                    estimator=estimator,
                    weight_binarizer=weight_binarizer,
                    activation_binarizer=activation_binarizer,
                    norm_cfg=norm_cfg))
            channels = out_channels
            min_size *= stride
        self.stages[-1].append(nn.PReLU(channels))
        self.finish(min_size, out_indices, frozen_stages, norm_eval)
