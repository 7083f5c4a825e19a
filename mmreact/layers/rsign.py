"""RSign: the sign with a learnable threshold (ReActNet, ECCV 2020)."""
from typing import Callable, Optional

import torch
import torch.nn as nn
from torch import Tensor

from ..functional import get_estimator, rsign
from ..functional.estimators import Estimator
from ..functional.transforms import NotScriptable

#: What becomes of ``x - alpha``: name -> function, or None: RSign's own.
ACTIVATION_BINARIZERS = dict(sign=None, tanh=torch.tanh, real=lambda x: x)


def get_activation_binarizer(
        name: str) -> Optional[Callable[[Tensor], Tensor]]:
    """Look an activation binarizer up.

    Raises:
        ValueError: If the name is unknown. The message lists the known ones.
    """
    if name not in ACTIVATION_BINARIZERS:
        raise ValueError(f'Unknown activation binarizer {name!r}. Known '
                         'activation binarizers: '
                         f'{", ".join(ACTIVATION_BINARIZERS)}.')
    return ACTIVATION_BINARIZERS[name]


class RSign(NotScriptable, nn.Module):
    """``y = +1 if x > alpha else -1``, one threshold per channel.

    Backward: ``grad_x = grad_y * g(x - alpha)`` with ``g`` the estimator, and
    ``grad_alpha = -sum(grad_x)`` over all but the channel dimension.

    As the weight binarizer 'real' does for weights, ``binarizer`` lets the
    real-valued stages of a network have the parameters of the binary ones:
    'tanh' gives ``tanh(x - alpha)`` and 'real' gives ``x - alpha``, with
    their true derivatives.

    Args:
        num_channels (int): Channels of the input.
        estimator (str | dict | Callable): Pseudo-gradient of the sign, see
            :func:`mmreact.functional.get_estimator`. Defaults to 'approx'.
        learnable (bool): Without it the threshold is 0 and there is no
            parameter: the plain sign. Defaults to True.
        binarizer (str): A key of ``ACTIVATION_BINARIZERS``: 'sign', 'tanh' or
            'real'. Defaults to 'sign'.
        channel_dim (int): The dimension of the channels. Defaults to 1; -1
            in front of a linear layer.

    Shape:
        ``(N, C, *)`` -> the same, values +1 and -1 (of the sign) in the
        input's dtype (with a learnable threshold: the dtype that
        ``x - alpha`` has).

    Raises:
        ValueError: For an unknown estimator or binarizer.
    """

    def __init__(self,
                 num_channels: int,
                 estimator: Estimator = 'approx',
                 learnable: bool = True,
                 binarizer: str = 'sign',
                 channel_dim: int = 1):
        super().__init__()
        get_estimator(estimator)  # a wrong name fails here, not in forward
        get_activation_binarizer(binarizer)
        self.num_channels = num_channels
        self.estimator = estimator
        self.binarizer = binarizer
        self.channel_dim = channel_dim
        self.alpha = nn.Parameter(
            torch.zeros(num_channels)) if learnable else None

    def forward(self, x: Tensor) -> Tensor:
        binarize = get_activation_binarizer(self.binarizer)
        if binarize is None:
            return rsign(x, self.alpha, self.estimator, self.channel_dim)
        if self.alpha is not None:
            x = subtract(x, self.alpha, self.channel_dim)
        return binarize(x)

    def extra_repr(self) -> str:
        return (f'{self.num_channels}, estimator={self.estimator!r}, '
                f'learnable={self.alpha is not None}, '
                f'binarizer={self.binarizer!r}')


@torch.fx.wrap
def subtract(x: Tensor, alpha: Tensor, channel_dim: int) -> Tensor:
    """``x - alpha``, a number for each channel."""
    shape = [1] * x.ndim
    shape[channel_dim] = -1
    return x - alpha.view(shape)
