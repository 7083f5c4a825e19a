"""The channel gate of Real-to-Binary (Martinez et al., ICLR 2020)."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class ChannelGate(nn.Module):
    """``scale = sigmoid(W2 relu(W1 mean_hw(u)))``, a factor per channel.

    It scales the output of a binary convolution by what that convolution
    cannot see: ``u`` is the real tensor in front of the sign. The squeeze and
    excitation of SENet (CVPR 2018), from input to output channels, by default
    without biases.

    Args:
        in_channels (int): Channels of ``u``.
        out_channels (int): Channels that are scaled.
        reduction (int): ``W1`` has ``in_channels / reduction`` rows. Defaults
            to 8.
        bias (bool): Add biases to both products (BNext). Defaults to False.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, out_channels, 1, 1)``, values
        between 0 and 1.

    Raises:
        ValueError: If ``reduction`` does not divide ``in_channels``, and, in
            forward, for a feature map without a pixel.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 reduction: int = 8,
                 bias: bool = False):
        super().__init__()
        if reduction < 1 or in_channels % reduction:
            raise ValueError(
                f'The reduction of a channel gate must divide its input '
                f'channels, got {reduction} and {in_channels} channels. '
                'Choose a width that is a multiple of it, or another '
                'reduction.')
        hidden = in_channels // reduction
        self.reduce = nn.Conv2d(in_channels, hidden, 1, bias=bias)
        self.expand = nn.Conv2d(hidden, out_channels, 1, bias=bias)

    def forward(self, u: Tensor) -> Tensor:
        check_not_empty(u)
        pooled = u.mean((2, 3), keepdim=True)
        return self.expand(F.relu(self.reduce(pooled))).sigmoid()


@torch.fx.wrap
def check_not_empty(u: Tensor) -> None:
    """Raise a ValueError if there is no pixel, whose mean would be NaN.

    Wrapped, so that torch.fx records the call instead of its comparison.
    """
    height, width = u.shape[-2:]
    if height * width == 0:
        raise ValueError('A channel gate averages over the pixels of a '
                         f'feature map; one of {height}x{width} has none.')
