"""MobileNetV1 (Howard et al., arXiv:1704.04861), real-valued.

ReActNet's relative and the float network that a user would pick at its
accuracy. MMPretrain has V2 and V3 only.
"""
from typing import Sequence

from mmcv.cnn import ConvModule
from mmpretrain.registry import MODELS
from torch import nn

from .staged import StagedBackbone


@MODELS.register_module()
class MobileNetV1(StagedBackbone):
    """A 3x3 stem and 13 depthwise-separable blocks, BN and ReLU throughout.

    Args:
        widen_factor (float): Multiplies all widths; the paper has 1.0, 0.75,
            0.5 and 0.25. Defaults to 1.0.
        in_channels (int): Channels of the image. Defaults to 3.
        stem_stride (int): Stride of the stem. Defaults to 2.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`; a stage ends where the next block
            has stride 2.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Raises:
        ValueError: If the widen factor leaves a width that is not a positive
            whole number.
    """

    #: ``(out_channels, stride)`` of each block, at widen factor 1.
    blocks = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
              *[(512, 1)] * 5, (1024, 2), (1024, 1))

    def __init__(self,
                 widen_factor: float = 1.0,
                 in_channels: int = 3,
                 stem_stride: int = 2,
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        if widen_factor <= 0 or 32 * widen_factor % 1:
            raise ValueError(
                'widen_factor must make 32 channels a positive whole number, '
                f'got {widen_factor}.')

        def conv(channels, width, kernel, stride=1, groups=1):
            return ConvModule(
                channels,
                width,
                kernel,
                stride,
                padding=kernel // 2,
                groups=groups,
                norm_cfg=norm_cfg)

        channels = int(32 * widen_factor)
        self.stem.append(conv(in_channels, channels, 3, stem_stride))
        min_size = stem_stride
        for out_channels, stride in self.blocks:
            width = int(out_channels * widen_factor)
            if stride > 1 or not self.stages:
                self.stages.append(nn.Sequential())
            self.stages[-1].append(
                nn.Sequential(
                    conv(channels, channels, 3, stride, groups=channels),
                    conv(channels, width, 1)))
            channels = width
            min_size *= stride
        self.finish(min_size, out_indices, frozen_stages, norm_eval)
