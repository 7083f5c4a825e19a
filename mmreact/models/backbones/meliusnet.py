"""MeliusNet (Bethge et al., arXiv:2001.05936).

Dense blocks append channels, improvement blocks add to those just appended;
the authors always put one of each in a row. Blocks, widths, the stem and the
order of a transition's layers are those of their code
(hpi-xnor/BMXNet-v2-examples), and so is their log of what was trained
(hpi-xnor/BMXNet-v2-wiki), whose operations and parameters ours agree with.
larq's zoo pools 2x2 at the end of the stem, the authors 3x3: so do we.

Deviations from their code: there a binary convolution gives the number of
agreeing bits, ``(y + n) / 2``, which the BN behind it takes back, pads with
-1 (here 0), has ``sign(0) = 1`` (here -1), and a weight gets its gradient
however large it is (here up to 1).
"""
from typing import Optional, Sequence, Union

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...functional.estimators import Estimator
from ...layers import BinaryConv2d, RSign
from ..utils import check_choice
from .staged import StagedBackbone


class MeliusBlock(BaseModule):
    """A dense block and the improvement block behind it.

    With ``[., .]`` the concatenation of channels::

        d = conv1(sign(BN1(x)))
        y = [x, d + conv2(sign(BN2([x, d])))]

    so that the improvement block adds to the channels that are new.

    Args:
        in_channels (int): Input channels.
        growth (int): Channels that are appended.
        estimator: Pseudo-gradient of the sign.
        weight_binarizer (str): For both 3x3 convolutions.
        activation_binarizer (str): For both signs.
        norm_cfg (dict): Normalisation layer.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, in_channels + growth, H, W)``.
    """

    def __init__(self,
                 in_channels: int,
                 growth: int,
                 estimator: Estimator = dict(type='clip', threshold=1.3),
                 weight_binarizer: str = 'sign',
                 activation_binarizer: str = 'sign',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)

        def unit(channels):
            return nn.Sequential(
                build_norm_layer(norm_cfg, channels)[1],
                RSign(channels, estimator, False, activation_binarizer),
                BinaryConv2d(
                    channels,
                    growth,
                    3,
                    padding=1,
                    weight_binarizer=weight_binarizer))

        self.dense = unit(in_channels)
        self.improve = unit(in_channels + growth)

    def forward(self, x: Tensor) -> Tensor:
        d = self.dense(x)
        e = self.improve(torch.cat([x, d], 1))
        return torch.cat([x, d + e], 1)


@MODELS.register_module()
class MeliusNet(StagedBackbone):
    """MeliusNet backbone.

    A stem, stages of :class:`MeliusBlock`, between two stages a real-valued
    transition (BN, 2x2 max pooling, ReLU, 1x1 convolution; the stage behind
    it has it), and BN and ReLU at the end of the last stage.

    Args:
        arch (int | dict): 22, 29, 42, 59, or ``dict(blocks=..., widths=...)``
            with the blocks of each stage and the channels after each
            transition, one fewer.
        in_channels (int): Channels of the image. Defaults to 3.
        stem_channels (int): Output channels of the stem. Defaults to 64.
        growth (int): Channels that a block appends. Defaults to 64.
        small_input (bool): A single 3x3 convolution as the stem, for images
            of 32x32. Defaults to False: three 3x3 convolutions with 1, 4 and
            8 groups, each with BN and ReLU, the first with stride 2, and
            max pooling.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to 'sign'.
        activation_binarizer (str): 'sign', 'tanh' or 'real', see
            :class:`mmreact.layers.RSign`. Defaults to 'sign'.
        estimator (str | dict): Pseudo-gradient of the activations' sign.
            Defaults to the identity clipped at 1.3.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Raises:
        ValueError: For an unknown arch, binarizer or estimator, an arch whose
            numbers do not fit, or stem channels that 16 does not divide.
    """

    arch_settings = {
        22: dict(blocks=(4, 5, 4, 4), widths=(160, 224, 256)),
        29: dict(blocks=(4, 6, 8, 6), widths=(128, 192, 256)),
        42: dict(blocks=(5, 8, 14, 10), widths=(160, 256, 416)),
        59: dict(blocks=(6, 12, 24, 12), widths=(192, 320, 544))
    }

    def __init__(self,
                 arch: Union[int, dict] = 22,
                 in_channels: int = 3,
                 stem_channels: int = 64,
                 growth: int = 64,
                 small_input: bool = False,
                 weight_binarizer: str = 'sign',
                 activation_binarizer: str = 'sign',
                 estimator: Estimator = dict(type='clip', threshold=1.3),
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        blocks, widths = self._parse_arch(arch)
        if small_input:
            self.stem.append(
                nn.Conv2d(
                    in_channels, stem_channels, 3, padding=1, bias=False))
        else:
            self._add_grouped_stem(in_channels, stem_channels, norm_cfg)

        channels = stem_channels
        for i, number in enumerate(blocks):
            stage = nn.Sequential()
            if i > 0:
                stage.append(build_norm_layer(norm_cfg, channels)[1])
                stage.append(nn.MaxPool2d(2, 2))
                stage.append(nn.ReLU())
                stage.append(nn.Conv2d(channels, widths[i - 1], 1, bias=False))
                channels = widths[i - 1]
            for _ in range(number):
                stage.append(
                    MeliusBlock(channels, growth, estimator, weight_binarizer,
                                activation_binarizer, norm_cfg))
                channels += growth
            self.stages.append(stage)
        self.stages[-1].append(build_norm_layer(norm_cfg, channels)[1])
        self.stages[-1].append(nn.ReLU())
        self.out_channels = channels
        self.finish((1 if small_input else 4) * 2**len(widths), out_indices,
                    frozen_stages, norm_eval)

    def _add_grouped_stem(self, in_channels, channels, norm_cfg):
        if channels % 16:
            raise ValueError('stem_channels must be a multiple of 16, for 8 '
                             f'groups in half of them, got {channels}.')
        half = channels // 2
        for cin, cout, stride, groups in ((in_channels, half, 2, 1),
                                          (half, half, 1, 4), (half, channels,
                                                               1, 8)):
            self.stem.append(
                nn.Conv2d(
                    cin, cout, 3, stride, padding=1, groups=groups,
                    bias=False))
            self.stem.append(build_norm_layer(norm_cfg, cout)[1])
            self.stem.append(nn.ReLU())
        self.stem.append(nn.MaxPool2d(3, 2, padding=1))

    def _parse_arch(self, arch):
        """Return the blocks of each stage and the widths between them."""
        if not isinstance(arch, dict):
            check_choice('arch', arch, self.arch_settings)
            arch = self.arch_settings[arch]
        blocks, widths = arch.get('blocks'), arch.get('widths')
        if not blocks or widths is None or len(widths) != len(blocks) - 1:
            raise ValueError(
                'arch must be a number or dict(blocks=..., widths=...) with '
                f'one width fewer than stages, got {arch!r}.')
        return blocks, widths
