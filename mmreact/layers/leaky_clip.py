"""LeakyClip: what Bi-Real Net has in front of a real-valued convolution."""
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class LeakyClip(nn.Module):
    """``y = x`` where ``|x| <= 1``, beyond it a line of the given slope.

    That is ``(1 - slope) clip(x, -1, 1) + slope x``, which is continuous.

    Args:
        slope (float): Defaults to 0.1, the slope of Bi-Real Net's code.

    Shape:
        Any -> the same.
    """

    def __init__(self, slope: float = 0.1):
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return (1 - self.slope) * F.hardtanh(x) + self.slope * x

    def extra_repr(self) -> str:
        return f'slope={self.slope}'
