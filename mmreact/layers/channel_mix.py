"""ChannelMix: the learned blend of BNext (Guo et al., arXiv:2211.12933)."""
import torch
import torch.nn as nn
from torch import Tensor

from ..functional.transforms import NotScriptable, is_functional


class ChannelMix(NotScriptable, nn.Module):
    """``y = s a + (1 - s) b``, one factor ``s`` in [0, 1] per channel.

    While training, each forward pass first clamps the factors in place, as the
    authors' code does: one that an optimizer step took out of [0, 1] still has
    its gradient and can come back, which it could not if its clamped value
    were used instead. Under ``torch.func``, which changes nothing in place,
    they are used as they are.

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
        return mix(a, b, self.scale, self.training)

    def extra_repr(self) -> str:
        return f'{self.num_channels}'


@torch.fx.wrap
def mix(a: Tensor, b: Tensor, scale: Tensor, clamp: bool) -> Tensor:
    """See :class:`ChannelMix`; ``clamp`` changes the factors in place."""
    if clamp and not is_functional():
        scale.detach().clamp_(0, 1)
    scale = scale.view(-1, *[1] * (a.ndim - 2))
    return scale * a + (1 - scale) * b
