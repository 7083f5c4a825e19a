"""The pooling of shortcuts that halve a map."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..functional.transforms import NotScriptable, is_transformed


class HalvingPool(NotScriptable, nn.AvgPool2d):
    """2x2 average pooling with stride 2; n -> ceil(n / 2).

    As a 3x3 convolution with stride 2 and padding 1 it rounds up; at an odd
    edge it averages the values that are there. Where PyTorch's keeps its
    input for backward, of which only the size matters, this keeps nothing.

    Backward: each value of a window gets the window's gradient divided by
    their number (4; 2 or 1 at an odd edge).

    Shape:
        ``(N, C, H, W)`` -> ``(N, C, ceil(H / 2), ceil(W / 2))``.
    """

    def __init__(self):
        super().__init__(2, 2, ceil_mode=True, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        if is_transformed() or not torch.is_grad_enabled():
            return super().forward(x)
        return _HalvingPool.apply(x, super().forward)


class _HalvingPool(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, pool):
        ctx.size = x.shape[-2:]
        return pool(x)

    @staticmethod
    def backward(ctx, grad):
        height, width = ctx.size
        grad = grad / 4
        if height % 2:
            grad[..., -1, :] *= 2
        if width % 2:
            grad[..., -1] *= 2
        grad = F.interpolate(grad, scale_factor=2, mode='nearest')
        return grad[..., :height, :width], None
