"""XNOR-Net's scale of the activations (Rastegari et al., ECCV 2016)."""
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.utils import _pair

from ..functional.conv import Size2d


class ActivationScale(nn.Module):
    """``K``: the mean magnitude of what a convolution sees at each position.

    ``A = mean_c |x|``, and ``K`` is ``A`` after a box filter, each of its
    taps ``1 / (kh kw)``, that moves as the convolution does. For the
    convolution that it is made for, with binarized weights ``W_b``::

        y = conv(sign(x), W_b) * K(x)   approximates   conv(x, W)

    Padding is with zeros, which the mean includes. No parameters. The
    gradient is the derivative of the formula, 0 for ``|x|`` at 0. These
    operations on one channel are no part of the operations that
    :func:`mmreact.count_ops` counts.

    Args:
        kernel_size, stride, padding, dilation: Of the convolution.

    Shape:
        ``(N, C, H, W)`` -> ``(N, 1, H', W')`` with the convolution's H', W'.
    """

    def __init__(self,
                 kernel_size: Size2d,
                 stride: Size2d = 1,
                 padding: Size2d = 0,
                 dilation: Size2d = 1):
        super().__init__()
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.kernel_size
        box = x.new_full((1, 1, height, width), 1 / (height * width))
        return F.conv2d(x.abs().mean(1, keepdim=True), box, None, self.stride,
                        self.padding, self.dilation)

    def extra_repr(self) -> str:
        return (f'kernel_size={self.kernel_size}, stride={self.stride}, '
                f'padding={self.padding}, dilation={self.dilation}')
