"""RSign: the sign with a learnable threshold (ReActNet, ECCV 2020)."""
import torch
import torch.nn as nn
from torch import Tensor

from ..functional import get_estimator, sign
from ..functional.estimators import Estimator


class RSign(nn.Module):
    """``y = +1 if x > alpha else -1``, one threshold per channel.

    Backward: ``grad_x = grad_y * g(x - alpha)`` with ``g`` the estimator, and
    ``grad_alpha = -sum(grad_x)`` over all but the channel dimension.

    Args:
        num_channels (int): Channels of the input (dimension 1).
        estimator (str | dict | Callable): Pseudo-gradient of the sign, see
            :func:`mmreact.functional.get_estimator`. Defaults to 'approx'.
        learnable (bool): Without it the threshold is 0 and there is no
            parameter: the plain sign. Defaults to True.

    Shape:
        ``(N, C, *)`` -> the same, values +1 and -1 in the input's dtype
        (with a learnable threshold: the dtype that ``x - alpha`` has).
    """

    def __init__(self,
                 num_channels: int,
                 estimator: Estimator = 'approx',
                 learnable: bool = True):
        super().__init__()
        get_estimator(estimator)  # a wrong name fails here, not in forward
        self.num_channels = num_channels
        self.estimator = estimator
        self.alpha = nn.Parameter(
            torch.zeros(num_channels)) if learnable else None

    def forward(self, x: Tensor) -> Tensor:
        if self.alpha is not None:
            x = x - self.alpha.view(-1, *[1] * (x.ndim - 2))
        return sign(x, self.estimator)

    def extra_repr(self) -> str:
        return (f'{self.num_channels}, estimator={self.estimator!r}, '
                f'learnable={self.alpha is not None}')
