"""ChannelMix: the learned blend of BNext (Guo et al., arXiv:2211.12933)."""
import torch
import torch.nn as nn
from torch import Tensor


class ChannelMix(nn.Module):
    """``y = s a + (1 - s) b``, one factor ``s`` in [0, 1] per channel.

    While training, each forward pass first clamps the factors in place, as the
    authors' code does: one that an optimizer step took out of [0, 1] still has
    its gradient and can come back, which it could not if its clamped value
    were used instead.

    Args:
        num_channels (int): Channels of both inputs (dimension 1).
        init (float): Initial ``s``. Defaults to 0.5.

    Shape:
        Two ``(N, C, *)`` -> the same.
    """

    def __init__(self, num_channels: int, init: float = 0.5):
        super().__init__()
        self.num_channels = num_channels
        self.scale = nn.Parameter(torch.full((num_channels, ), init))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.scale.clamp_(0, 1)
        scale = self.scale.view(-1, *[1] * (a.ndim - 2))
        return scale * a + (1 - scale) * b

    def extra_repr(self) -> str:
        return f'{self.num_channels}'
