"""The learned scale of XNOR-Net++ (Bulat & Tzimiropoulos, arXiv:1909.13863).
"""
from typing import Tuple

import torch
import torch.nn as nn
from torch import Tensor

from ..functional.transforms import NotScriptable


class LearnedScale(NotScriptable, nn.Module):
    """``y[n, c, h, w] = alpha[c] beta[h] gamma[w] x[n, c, h, w]``.

    One factor per channel, row and column, learned with the network; all
    start at 1. They fix the size of the feature map, and so that of the
    network's images.

    Args:
        num_channels (int): Channels of the input.
        size (Tuple[int, int]): Its height and width.

    Shape:
        ``(N, C, H, W)`` -> the same.

    Raises:
        ValueError: In forward, for a feature map of another size.
    """

    def __init__(self, num_channels: int, size: Tuple[int, int]):
        super().__init__()
        self.num_channels = num_channels
        self.size = tuple(size)
        self.alpha = nn.Parameter(torch.ones(num_channels))
        self.beta = nn.Parameter(torch.ones(self.size[0]))
        self.gamma = nn.Parameter(torch.ones(self.size[1]))

    def forward(self, x: Tensor) -> Tensor:
        check_map_size(x, self.size)
        return x * (
            self.alpha.view(-1, 1, 1) * self.beta.view(-1, 1) * self.gamma)

    def extra_repr(self) -> str:
        return f'{self.num_channels}, size={self.size}'


@torch.fx.wrap
def check_map_size(x: Tensor, size: Tuple[int, int]) -> None:
    """Raise a ValueError if a feature map has not the size that was learned.

    Wrapped, so that torch.fx records the call instead of its comparison.
    """
    if tuple(x.shape[-2:]) != tuple(size):
        height, width = x.shape[-2:]
        raise ValueError(
            f'LearnedScale has factors for {size[0]} rows and {size[1]} '
            f'columns, got a feature map of {height}x{width}. It fixes the '
            'size of the images: give images of the size that the network '
            'was built for (input_size), or build it for yours.')
