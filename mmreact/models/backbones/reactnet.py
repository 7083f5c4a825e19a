"""ReActNet on MobileNetV1 (Liu et al., ECCV 2020, arXiv:2003.03488).

The paper's figure draws one RSign in front of each of the two 1x1
convolutions of a doubling block; the authors' code shares one, and so do we.
Other deviations from their code: ``sign(0)`` is -1 as in the paper (there: 0),
latent weights start with both signs (there: all positive), and odd feature
maps are halved upwards in the shortcut too.

Of ReActNet-B and -C the paper prints operations, not layers. They follow if
in the five blocks that double the channels real 1x1 convolutions take the
place of the 1-bit ones, with 4 groups (B) or one (C). No source says whether
these see signs or real values, and whether the shortcuts stay; here they see
signs and the shortcuts stay, and `expansion_input` and `expansion` change it.
"""
from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from ...functional.estimators import Estimator
from ...layers import BinaryConv2d, HalvingPool, RSign
from ..utils import ACTIVATIONS, check_choice, check_widths, parse_blocks
from .staged import StagedBackbone

EXPANSIONS = ('concat', 'conv')
EXPANSION_INPUTS = ('sign', 'real')


class ReActBlock(BaseModule):
    """A 1-bit 3x3 and one or two 1-bit 1x1 convolutions, each bypassed.

    With RSign ``s``, shortcut ``p`` (identity, or 2x2 average pooling at
    stride 2) and RPReLU ``r``::

        a = r1(BN(conv3x3(s1(x))) + p(x))
        y = r2(concat_k(BN_k(conv1x1_k(s2(a))) + a))      k = 1 or k = 1, 2

    so that the block keeps (one branch) or doubles (two) the channels.

    Args:
        in_channels (int): Input channels.
        out_channels (int): ``in_channels`` or twice as many; any number with
            ``expansion='conv'``.
        stride (int): 1 or 2, of the 3x3 convolution.
        expansion (str): How channels are doubled. 'concat': as above. 'conv':
            one 1-bit 1x1 convolution to ``out_channels`` without a shortcut
            (ablation: no duplicated concatenation).
        expansion_groups (int, optional): Double the channels with real 1x1
            convolutions of this many groups. None: with 1-bit ones.
        expansion_input (str): What real 1x1 convolutions see: 'sign' of
            their input or the 'real' one.
        activation (str): A key of ``ACTIVATIONS``.
        rsign (bool): Learnable thresholds, else the plain sign.
        estimator: Pseudo-gradient of the sign.
        weight_binarizer (str): For all convolutions of the block.
        activation_binarizer (str): For the signs in front of them.
        norm_cfg (dict): Normalisation layer.

    Shape:
        ``(N, in_channels, H, W)`` ->
        ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int = 1,
                 expansion: str = 'concat',
                 expansion_groups: Optional[int] = None,
                 expansion_input: str = 'sign',
                 activation: str = 'rprelu',
                 rsign: bool = True,
                 estimator: Estimator = 'approx',
                 weight_binarizer: str = 'scaled_sign',
                 activation_binarizer: str = 'sign',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        # An expanding convolution changes the number of channels: its input
        # cannot be added to its output.
        self.bypass = in_channels == out_channels or expansion == 'concat'
        branches = out_channels // in_channels if self.bypass else 1
        width = out_channels // branches
        act = ACTIVATIONS[activation]

        self.sign1 = RSign(in_channels, estimator, rsign, activation_binarizer)
        self.conv1 = BinaryConv2d(
            in_channels,
            in_channels,
            3,
            stride,
            padding=1,
            weight_binarizer=weight_binarizer)
        self.bn1 = build_norm_layer(norm_cfg, in_channels)[1]
        self.shortcut = nn.Identity() if stride == 1 else HalvingPool()
        self.act1 = act(in_channels)

        real = in_channels != out_channels and expansion_groups is not None
        self.sign2 = nn.Identity(
        ) if real and expansion_input == 'real' else RSign(
            in_channels, estimator, rsign, activation_binarizer)
        self.conv2 = nn.ModuleList(
            nn.Conv2d(
                in_channels, width, 1, groups=expansion_groups, bias=False
            ) if real else BinaryConv2d(
                in_channels, width, 1, weight_binarizer=weight_binarizer)
            for _ in range(branches))
        self.bn2 = nn.ModuleList(
            build_norm_layer(norm_cfg, width)[1] for _ in range(branches))
        self.act2 = act(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        a = self.bn1(self.conv1(self.sign1(x))) + self.shortcut(x)
        a = self.act1(a)
        z = self.sign2(a)
        branches = [bn(conv(z)) for conv, bn in zip(self.conv2, self.bn2)]
        if self.bypass:
            branches = [branch + a for branch in branches]
        y = torch.cat(branches, 1) if len(branches) > 1 else branches[0]
        return self.act2(y)


@MODELS.register_module()
class ReActNet(StagedBackbone):
    """ReActNet backbone.

    A real-valued 3x3 stem (convolution and BN, no activation) and a chain of
    :class:`ReActBlock`. Stage 1 and stage 2 of the training are this class
    with ``weight_binarizer`` 'real' and 'scaled_sign', and the real-valued
    counterpart is it with ``activation_binarizer`` 'real' as well; parameters
    have the same names and shapes.

    Args:
        arch (str | Sequence[Tuple[int, int]]): 'a', 'b', 'c', or a list of
            ``(out_channels, stride)``, one a block.
        in_channels (int): Channels of the image. Defaults to 3.
        stem_channels (int, optional): Output channels of the stem. Defaults
            to those of the arch (32 for 'a'); needed with an explicit list.
        stem_stride (int): Stride of the stem. Defaults to 2.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to
            'scaled_sign'.
        activation_binarizer (str): 'sign', 'tanh' or 'real', see
            :class:`mmreact.layers.RSign`. Defaults to 'sign'.
        estimator (str | dict): Pseudo-gradient of the activations' sign, see
            :func:`mmreact.functional.get_estimator`. Defaults to 'approx'.
        rsign (bool): RSign, else the plain sign (ablation). Defaults to True.
        activation (str): 'rprelu', or 'prelu' or 'none' (ablations).
        expansion (str): 'concat', or 'conv' (ablation), see
            :class:`ReActBlock`.
        expansion_groups (int, optional): Groups of real 1x1 convolutions that
            double the channels. Defaults to those of the arch: 4 for 'b', 1
            for 'c', else None: 1-bit convolutions.
        expansion_input (str): What these real convolutions see, 'sign' or
            'real'. Defaults to 'sign'.
        out_indices (Sequence[int]): Stages to return; a stage ends where the
            next block has stride 2. Negative ones count from the end.
            Defaults to ``(-1, )``.
        frozen_stages (int): Freeze the stem and this many stages; 0 is the
            stem only, -1 nothing. Defaults to -1.
        norm_eval (bool): Keep normalisation layers in eval mode while
            training. Defaults to False.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Shape:
        ``(N, in_channels, H, W)`` -> a tuple of ``(N, C_i, H_i, W_i)``.

    Raises:
        ValueError: For an unknown arch, binarizer, estimator, activation or
            expansion, widths that neither stay nor double or that the groups
            do not divide, an out index or number of frozen stages that does
            not exist, and, in forward, an input smaller than the product of
            the strides.
    """

    _blocks = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
               *[(512, 1)] * 5, (1024, 2), (1024, 1))
    arch_settings = dict(
        a=dict(stem_channels=32, blocks=_blocks, expansion_groups=None),
        b=dict(stem_channels=32, blocks=_blocks, expansion_groups=4),
        c=dict(stem_channels=32, blocks=_blocks, expansion_groups=1))

    def __init__(self,
                 arch: Union[str, Sequence[Tuple[int, int]]] = 'a',
                 in_channels: int = 3,
                 stem_channels: Optional[int] = None,
                 stem_stride: int = 2,
                 weight_binarizer: str = 'scaled_sign',
                 activation_binarizer: str = 'sign',
                 estimator: Estimator = 'approx',
                 rsign: bool = True,
                 activation: str = 'rprelu',
                 expansion: str = 'concat',
                 expansion_groups: Optional[int] = None,
                 expansion_input: str = 'sign',
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        check_choice('activation', activation, ACTIVATIONS)
        check_choice('expansion', expansion, EXPANSIONS)
        check_choice('expansion_input', expansion_input, EXPANSION_INPUTS)
        stem_channels, blocks, arch_groups = self._parse_arch(
            arch, stem_channels)
        expansion_groups = expansion_groups or arch_groups
        if expansion == 'concat':
            check_widths(stem_channels, blocks)
        if expansion_groups is not None:
            self._check_groups(stem_channels, blocks, expansion_groups)

        self.stem.append(
            nn.Conv2d(
                in_channels,
                stem_channels,
                3,
                stem_stride,
                padding=1,
                bias=False))
        self.stem.append(build_norm_layer(norm_cfg, stem_channels)[1])
        min_size = stem_stride
        channels = stem_channels
        for out_channels, stride in blocks:
            if stride > 1 or not self.stages:
                self.stages.append(nn.Sequential())
            self.stages[-1].append(
                ReActBlock(channels, out_channels, stride, expansion,
                           expansion_groups, expansion_input, activation,
                           rsign, estimator, weight_binarizer,
                           activation_binarizer, norm_cfg))
            channels = out_channels
            min_size *= stride
        self.finish(min_size, out_indices, frozen_stages, norm_eval)

    def _parse_arch(self, arch, stem_channels):
        """Return stem channels, ``[(out_channels, stride), ...]``, groups."""
        if isinstance(arch, str):
            check_choice('arch', arch, self.arch_settings)
            settings = self.arch_settings[arch]
            return (stem_channels or settings['stem_channels'],
                    settings['blocks'], settings['expansion_groups'])
        return stem_channels, parse_blocks(arch, stem_channels), None

    @staticmethod
    def _check_groups(stem_channels, blocks, groups):
        channels = stem_channels
        for i, (out_channels, _) in enumerate(blocks):
            if out_channels != channels and channels % groups:
                raise ValueError(
                    f'Block {i} has {channels} input channels, which '
                    f'expansion_groups={groups} does not divide.')
            channels = out_channels
