"""XNOR-Net's AlexNet and ResNet (Rastegari et al., ECCV 2016).

A 1-bit layer is BN -> sign -> convolution (-> max pooling): normalised before
it is signed, pooled before it is signed again. First and last layer are real.

AlexNet is the authors' code (allenai/XNOR-Net, models/alexnetxnor.lua): its
widths, kernels, pooling, places of BN and their epsilons, fully connected
layers that are convolutions, a ReLU behind the real first layer and in front
of the real last one only, no dropout. Where sources differ:

- The paper allows for a ReLU after 1-bit convolutions, of help to AlexNet; the
  code has none, nor have we. The PyTorch port (jiecaoyu/XNOR-Net-PyTorch) has
  it, and dropout.
- The code passes ``false`` to BN as the momentum, which Torch takes for its
  default of 0.1; BN has its weight and bias, as here.
- The code's convolutions have biases. A BN follows each of them, with nothing
  but pooling in between, which takes any bias away: left out here.
- The paper multiplies each output by the scale of its input, K; the code does
  not, and the paper says that this costs less than 1 % top-1.
  ``activation_scale=True`` brings it back.
- sign(0) is -1 here, 0 in the code.

Of ResNet-18 the paper says that it is fb.resnet.torch's with shortcut B, a 1x1
convolution with BN where the width changes; no code was published. Ours
applies the order of AlexNet's layers to it: BN -> sign -> convolution, twice,
and the shortcut over both; stem and end (BN, ReLU) are AlexNet's as well.
Whether the 1x1 convolution is real, the operations printed for XNOR-ResNet-18
(ReActNet's table) leave open: their FLOPs of 1.41e8 fit a real one (1.38e8
here, 1.19e8 otherwise), their BOPs of 1.70e9 a 1-bit one (1.696e9; here
1.676e9). It is real here, as in a reimplementation that names its real layers
(resnet18-xnor-binary-onnx-0001 of openvinotoolkit/open_model_zoo).
"""
from typing import Optional, Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...functional.estimators import Estimator
from ...layers import ActivationScale, BinaryConv2d, RSign
from ..utils import check_choice, check_smallest_image
from .staged import StagedBackbone

torch.fx.wrap('check_smallest_image')


def _norm(norm_cfg: dict, channels: int, eps: float = 1e-5) -> nn.Module:
    """The normalisation layer, with this epsilon unless it has its own."""
    return build_norm_layer({'eps': eps, **norm_cfg}, channels)[1]


class XNORConv(BaseModule):
    """``z = BN(x);  y = conv(sign(z)) [* K(z)]``.

    Args:
        in_channels, out_channels, kernel_size, stride, padding: Of the
            convolution.
        eps (float): Of the BN.
        activation_scale (bool): Multiply by
            :class:`mmreact.layers.ActivationScale`.
        estimator: Pseudo-gradient of the sign.
        weight_binarizer (str): For the convolution.
        norm_cfg (dict): Normalisation layer.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, out_channels, H', W')``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: int,
                 stride: int = 1,
                 padding: int = 0,
                 eps: float = 1e-5,
                 activation_scale: bool = False,
                 estimator: Estimator = 'clip',
                 weight_binarizer: str = 'xnor_sign',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        self.bn = _norm(norm_cfg, in_channels, eps)
        self.sign = RSign(in_channels, estimator, learnable=False)
        self.conv = BinaryConv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            weight_binarizer=weight_binarizer)
        self.scale = ActivationScale(kernel_size, stride,
                                     padding) if activation_scale else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(x)
        y = self.conv(self.sign(x))
        return y if self.scale is None else y * self.scale(x)


class XNORBasicBlock(BaseModule):
    """``y = conv2(conv1(x)) + shortcut(x)`` of two :class:`XNORConv`.

    Where width or stride change, the shortcut is a **real** 1x1 convolution
    with BN.

    Args:
        in_channels, out_channels (int): Channels.
        stride (int): Of the first convolution.
        norm_cfg (dict): Normalisation layer.
        **kwargs: Of :class:`XNORConv`.

    Shape:
        ``(N, in_channels, H, W)`` ->
        ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int = 1,
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None,
                 **kwargs):
        super().__init__(init_cfg)
        kwargs.update(norm_cfg=norm_cfg, padding=1)
        self.conv1 = XNORConv(in_channels, out_channels, 3, stride, **kwargs)
        self.conv2 = XNORConv(out_channels, out_channels, 3, **kwargs)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.append(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.shortcut.append(_norm(norm_cfg, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x)) + self.shortcut(x)


@MODELS.register_module()
class XNORAlexNet(StagedBackbone):
    """XNOR-Net's AlexNet without its last layer: vectors of features.

    The first fully connected layer is a 6x6 convolution, so that larger
    images than 224x224 work as well: their features are averaged.

    Args:
        widths (Sequence[int]): Output channels of the seven layers.
        in_channels (int): Channels of the image. Defaults to 3.
        activation_scale (bool): Multiply the output of 1-bit convolutions by
            the scale of their input. Defaults to False.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to
            'xnor_sign'.
        estimator (str | dict): Pseudo-gradient of the sign. Defaults to
            'clip'.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`. The stem is the first layer, a
            stage ends with a max pooling, the last one is fully connected.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Shape:
        ``(N, in_channels, H, W)`` -> a tuple of ``(N, C_i, H_i, W_i)`` and,
        for the last stage, ``(N, widths[-1])``.

    Raises:
        ValueError: If there are not seven widths, for an unknown binarizer or
            estimator, and, in forward, for images smaller than 223x223.
    """

    def __init__(self,
                 widths: Sequence[int] = (96, 256, 384, 384, 256, 4096, 4096),
                 in_channels: int = 3,
                 activation_scale: bool = False,
                 weight_binarizer: str = 'xnor_sign',
                 estimator: Estimator = 'clip',
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        if len(widths) != 7:
            raise ValueError('XNORAlexNet needs the widths of seven layers, '
                             f'got {tuple(widths)}.')

        def conv(i, kernel, padding=0):
            return XNORConv(
                widths[i - 1],
                widths[i],
                kernel,
                padding=padding,
                eps=1e-4,
                activation_scale=activation_scale,
                estimator=estimator,
                weight_binarizer=weight_binarizer,
                norm_cfg=norm_cfg)

        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 11, 4, padding=2, bias=False),
            _norm(norm_cfg, widths[0]), nn.ReLU(), nn.MaxPool2d(3, 2))
        self.stages.append(nn.Sequential(conv(1, 5, 2), nn.MaxPool2d(3, 2)))
        self.stages.append(
            nn.Sequential(
                conv(2, 3, 1), conv(3, 3, 1), conv(4, 3, 1),
                nn.MaxPool2d(3, 2)))
        self.stages.append(
            nn.Sequential(
                conv(5, 6), conv(6, 1), _norm(norm_cfg, widths[6], 1e-3),
                nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        self.finish(32, out_indices, frozen_stages, norm_eval)

    def forward(self, x: Tensor):
        # 223 -> 55 -> 27 -> 13 -> 6, which the 6x6 convolution needs.
        check_smallest_image(x, 223, type(self).__name__)
        return super().forward(x)


@MODELS.register_module()
class XNORResNet(StagedBackbone):
    """XNOR-Net's ResNet.

    A 7x7 stem, four stages of :class:`XNORBasicBlock`, and BN and ReLU at the
    end of the last stage.

    Args:
        depth (int): 18.
        in_channels (int): Channels of the image. Defaults to 3.
        base_channels (int): Channels of stem and first stage; each stage
            doubles them. Defaults to 64.
        small_input (bool): A 3x3 stem without stride and pooling, for images
            of 32x32. Defaults to False.
        activation_scale, weight_binarizer, estimator: See
            :class:`XNORAlexNet`.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Shape:
        ``(N, in_channels, H, W)`` -> a tuple of ``(N, C_i, H_i, W_i)``.

    Raises:
        ValueError: For an unknown depth, binarizer or estimator.
    """

    #: Depth -> blocks of each stage.
    arch_settings = {18: (2, 2, 2, 2)}

    def __init__(self,
                 depth: int = 18,
                 in_channels: int = 3,
                 base_channels: int = 64,
                 small_input: bool = False,
                 activation_scale: bool = False,
                 weight_binarizer: str = 'xnor_sign',
                 estimator: Estimator = 'clip',
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        check_choice('depth', depth, self.arch_settings)
        kernel, stride = (3, 1) if small_input else (7, 2)
        self.stem = nn.Sequential(
            nn.Conv2d(
                in_channels,
                base_channels,
                kernel,
                stride,
                padding=kernel // 2,
                bias=False), _norm(norm_cfg, base_channels), nn.ReLU())
        if not small_input:
            self.stem.append(nn.MaxPool2d(3, 2, padding=1))

        channels = base_channels
        for i, number in enumerate(self.arch_settings[depth]):
            stage = nn.Sequential()
            for j in range(number):
                stage.append(
                    XNORBasicBlock(
                        channels,
                        base_channels * 2**i,
                        2 if i > 0 and j == 0 else 1,
                        activation_scale=activation_scale,
                        estimator=estimator,
                        weight_binarizer=weight_binarizer,
                        norm_cfg=norm_cfg))
                channels = base_channels * 2**i
            self.stages.append(stage)
        self.stages[-1].append(_norm(norm_cfg, channels))
        self.stages[-1].append(nn.ReLU())
        self.finish(8 if small_input else 32, out_indices, frozen_stages,
                    norm_eval)
