"""RPReLU: PReLU with learnable shifts (ReActNet, ECCV 2020)."""
import torch
import torch.nn as nn
from torch import Tensor

from ..functional import rprelu
from ..functional.transforms import NotScriptable


class RPReLU(NotScriptable, nn.Module):
    """``y = PReLU(x - gamma; slope beta) + zeta``, all three per channel.

    That is ``x - gamma + zeta`` where ``x > gamma``, else
    ``beta (x - gamma) + zeta``. It starts as PReLU with slope 0.25.

    Args:
        num_channels (int): Channels of the input (dimension 1).
        init_slope (float): Initial ``beta``. Defaults to 0.25.

    Shape:
        ``(N, C, *)`` -> the same.
    """

    def __init__(self, num_channels: int, init_slope: float = 0.25):
        super().__init__()
        self.num_channels = num_channels
        self.gamma = nn.Parameter(torch.zeros(num_channels))
        self.beta = nn.Parameter(torch.full((num_channels, ), init_slope))
        self.zeta = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        return rprelu(x, self.gamma, self.beta, self.zeta)

    def extra_repr(self) -> str:
        return f'{self.num_channels}'
