"""Binarized neural networks (Hubara et al., NIPS 2016): every layer is 1-bit.

sign -> convolution (-> max pooling) -> BN -> hardtanh, and likewise for fully
connected layers. The first layer has 1-bit weights and sees the real image;
the last one is the head's (:class:`mmreact.models.BinaryLinearClsHead`).
There is no scale. Latent weights are to be clipped to ±1, see
:class:`mmreact.engine.WeightClipHook`.

The networks are those of the authors' code: itayhubara/BinaryNet.pytorch, and
for CIFAR-10 also itayhubara/BinaryNet (Torch7) and
MatthieuCourbariaux/BinaryNet (Theano). Where these differ:

- AlexNet: the PyTorch code makes all convolutions but the last three times as
  wide as AlexNet's, (64, 192, 384, 256, 256). So are ours by default; whether
  the published accuracy is this network's the authors have not said.
- VGG: the widths are the Torch7 and the Theano code's. The PyTorch code makes
  all convolutions but the last three times as wide.
- ResNet: the code for ImageNet does not run (it uses layers that it does not
  make). Ours is its ResNet for CIFAR-10 at ImageNet's sizes: the shortcut
  over two convolutions carries the hardtanh's real values, the 1x1 convolution
  in it is 1-bit, and BN and hardtanh of the last block come after the global
  pooling, in the head.
- Convolutions of AlexNet and VGG have biases there. A BN follows, with nothing
  but pooling in between, which takes any bias away: left out here.
- The gradient of the sign is the identity there, and 1 on [-1, 1] in the
  paper. Behind a hardtanh these are the same.
- sign(0) is -1 here; 0 in the PyTorch code, where an exact 0 is rare.
"""
from typing import Optional, Sequence, Tuple

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...functional.estimators import Estimator
from ...layers import BinaryConv2d, BinaryLinear, RSign
from ..utils import check_choice, check_image_size
from .staged import StagedBackbone

torch.fx.wrap('check_image_size')


def norm_for(layer: nn.Module, norm_cfg: dict) -> nn.Module:
    """The normalisation of a layer's output; of vectors after a linear one."""
    if isinstance(layer, nn.Linear):
        kind = norm_cfg['type']
        norm_cfg = dict(norm_cfg, type='BN1d' if kind == 'BN' else kind)
    return build_norm_layer(norm_cfg, layer.weight.shape[0])[1]


class BNNBasicBlock(BaseModule):
    """Two 1-bit 3x3 convolutions and a shortcut of real values over both.

    With hardtanh ``h`` and sign ``s``::

        z = conv2(s(h(BN1(conv1(s(x)))))) + p(x)
        y = h(BN2(z)),   or z in the network's last block

    where ``p`` is the identity, or ``BN(conv1x1(s(x)))``, 1-bit as well, if
    width or stride change.

    Args:
        in_channels, out_channels (int): Channels.
        stride (int): Of the first convolution.
        last (bool): End with the sum. Defaults to False.
        estimator: Pseudo-gradient of the sign.
        weight_binarizer (str): For all convolutions of the block.
        norm_cfg (dict): Normalisation layer.

    Shape:
        ``(N, in_channels, H, W)`` ->
        ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 stride: int = 1,
                 last: bool = False,
                 estimator: Estimator = 'clip',
                 weight_binarizer: str = 'sign',
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)

        def sign_conv(channels, kernel, stride=1):
            return nn.Sequential(
                RSign(channels, estimator, learnable=False),
                BinaryConv2d(
                    channels,
                    out_channels,
                    kernel,
                    stride,
                    padding=kernel // 2,
                    weight_binarizer=weight_binarizer))

        def norm():
            return build_norm_layer(norm_cfg, out_channels)[1]

        self.conv1 = sign_conv(in_channels, 3, stride)
        self.act1 = nn.Sequential(norm(), nn.Hardtanh())
        self.conv2 = sign_conv(out_channels, 3)
        self.act2 = nn.Sequential()
        if not last:
            self.act2.extend([norm(), nn.Hardtanh()])
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.extend([sign_conv(in_channels, 1, stride), norm()])

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv2(self.act1(self.conv1(x))) + self.shortcut(x)
        return self.act2(z)


class BNNChain(StagedBackbone):
    """What BNNAlexNet and BNNVGG are: convolutions, then two linear layers.

    Args:
        widths (Sequence[int]): Output channels of all layers.
        in_channels (int): Channels of the image. Defaults to 3.
        input_size (int): Height and width of the images, which the first
            linear layer is built for.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to 'sign'.
        estimator (str | dict): Pseudo-gradient of the sign. Defaults to
            'clip'.
        out_indices, frozen_stages, norm_eval: See
            :meth:`StagedBackbone.finish`. The stem is the first layer, a
            stage ends with a max pooling, the last one is the linear layers.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: ``init_cfg`` and ``with_cp``, see :class:`StagedBackbone`.

    Shape:
        ``(N, in_channels, input_size, input_size)`` -> a tuple of
        ``(N, C_i, H_i, W_i)`` and, for the last stage, ``(N, widths[-1])``.

    Raises:
        ValueError: If the number of widths is wrong or the input size too
            small, for an unknown binarizer or estimator, and, in forward, for
            images of another size.
    """

    #: ``(kernel, stride, padding, pool)`` of each convolution; ``pool`` is
    #: the kernel of the max pooling with stride 2, or 0.
    convs: Tuple[Tuple[int, int, int, int], ...]

    def __init__(self,
                 widths: Sequence[int],
                 in_channels: int = 3,
                 input_size: int = 224,
                 weight_binarizer: str = 'sign',
                 estimator: Estimator = 'clip',
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        name, number = type(self).__name__, len(self.convs) + 2
        if len(widths) != number:
            raise ValueError(f'{name} needs the widths of {number} layers, '
                             f'got {tuple(widths)}.')
        self.input_size = input_size

        def add(stage, layer, pool=0):
            if stage is not self.stem:  # which sees the real image
                stage.append(
                    RSign(layer.weight.shape[1], estimator, learnable=False))
            stage.append(layer)
            if pool:
                stage.append(nn.MaxPool2d(pool, 2))
            stage.extend([norm_for(layer, norm_cfg), nn.Hardtanh()])

        channels, side, stage = in_channels, input_size, self.stem
        for width, (kernel, stride, padding, pool) in zip(widths, self.convs):
            conv = BinaryConv2d(
                channels,
                width,
                kernel,
                stride,
                padding,
                weight_binarizer=weight_binarizer)
            add(stage, conv, pool)
            side = (side + 2 * padding - kernel) // stride + 1
            side = (side - pool) // 2 + 1 if pool else side
            if side < 1:
                raise ValueError(f'input_size={input_size} is too small for '
                                 f'{name}: nothing is left of an image.')
            if pool or stage is self.stem:
                stage = nn.Sequential()
                self.stages.append(stage)
            channels = width
        stage.append(nn.Flatten())
        features = channels * side**2
        for width in widths[-2:]:
            linear = BinaryLinear(
                features, width, weight_binarizer=weight_binarizer)
            add(stage, linear)
            features = width
        self.finish(1, out_indices, frozen_stages, norm_eval)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        check_image_size(x, self.input_size, type(self).__name__)
        return super().forward(x)


@MODELS.register_module()
class BNNAlexNet(BNNChain):
    """BNN's AlexNet without its last layer: vectors of features.

    See :class:`BNNChain` for the other arguments. AlexNet's own widths are
    ``(64, 192, 384, 256, 256, 4096, 4096)``.
    """

    convs = ((11, 4, 2, 3), (5, 1, 2, 3), *[(3, 1, 1, 0)] * 2, (3, 1, 1, 3))

    def __init__(self,
                 widths: Sequence[int] = (192, 576, 1152, 768, 256, 4096,
                                          4096),
                 input_size: int = 224,
                 **kwargs):
        super().__init__(widths, input_size=input_size, **kwargs)


@MODELS.register_module()
class BNNVGG(BNNChain):
    """BNN's network for CIFAR-10, "VGG-small", without its last layer.

    See :class:`BNNChain` for the other arguments.
    """

    convs = ((3, 1, 1, 0), (3, 1, 1, 2)) * 3

    def __init__(self,
                 widths: Sequence[int] = (128, 128, 256, 256, 512, 512, 1024,
                                          1024),
                 input_size: int = 32,
                 **kwargs):
        super().__init__(widths, input_size=input_size, **kwargs)


@MODELS.register_module()
class BNNResNet(StagedBackbone):
    """BNN's ResNet: a 7x7 stem and four stages of :class:`BNNBasicBlock`.

    The last stage ends with a sum; BN, hardtanh and sign follow in a
    ``BinaryLinearClsHead`` with ``norm_features=True``, after the pooling.

    Args:
        depth (int): 18 or 34.
        in_channels (int): Channels of the image. Defaults to 3.
        base_channels (int): Channels of stem and first stage; each stage
            doubles them. Defaults to 64.
        small_input (bool): A 3x3 stem without stride and pooling, for images
            of 32x32. Defaults to False.
        weight_binarizer, estimator: See :class:`BNNChain`.
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
    arch_settings = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}

    def __init__(self,
                 depth: int = 18,
                 in_channels: int = 3,
                 base_channels: int = 64,
                 small_input: bool = False,
                 weight_binarizer: str = 'sign',
                 estimator: Estimator = 'clip',
                 out_indices: Sequence[int] = (-1, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs):
        super().__init__(**kwargs)
        check_choice('depth', depth, self.arch_settings)
        kernel, stride = (3, 1) if small_input else (7, 2)
        self.stem.append(
            BinaryConv2d(
                in_channels,
                base_channels,
                kernel,
                stride,
                padding=kernel // 2,
                weight_binarizer=weight_binarizer))
        if not small_input:
            self.stem.append(nn.MaxPool2d(3, 2, padding=1))
        self.stem.append(build_norm_layer(norm_cfg, base_channels)[1])
        self.stem.append(nn.Hardtanh())

        numbers = self.arch_settings[depth]
        channels = base_channels
        for i, number in enumerate(numbers):
            stage = nn.Sequential()
            for j in range(number):
                stage.append(
                    BNNBasicBlock(
                        channels,
                        base_channels * 2**i,
                        stride=2 if i > 0 and j == 0 else 1,
                        last=(i, j) == (len(numbers) - 1, number - 1),
                        estimator=estimator,
                        weight_binarizer=weight_binarizer,
                        norm_cfg=norm_cfg))
                channels = base_channels * 2**i
            self.stages.append(stage)
        self.finish(8 if small_input else 32, out_indices, frozen_stages,
                    norm_eval)
