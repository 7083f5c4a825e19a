"""Convolution and linear layers whose weights are binarized when used."""
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..functional import binary_conv2d, binary_linear, get_weight_binarizer
from ..functional.conv import Size2d
from ..functional.transforms import NotScriptable, is_transformed


class _BinaryWeight(NotScriptable):
    """What the binary layers share: the choice of a weight binarizer.

    In eval mode and without gradients, binarized weights are kept until the
    latent ones or the mode change. An assignment to ``weight.data[...]``,
    which PyTorch does not count as a change, is seen after the next ``eval()``
    or ``train()``.
    """

    weight_binarizer: str
    _kept = None  # (the latent weights, their version, binarizer, result)

    @property
    def one_bit_weight(self) -> bool:
        """Whether a weight takes two values only (False in stage 1)."""
        return get_weight_binarizer(self.weight_binarizer).one_bit

    def _constant_weight(self) -> Optional[Tensor]:
        """The binarized weights if they may be kept, else None."""
        weight = self.weight
        if (self.training or torch.is_grad_enabled() or is_transformed()
                or isinstance(weight, torch.fx.Proxy)
                or weight.is_inference()):
            return None
        kept = self._kept
        if (kept is None or kept[0].data_ptr() != weight.data_ptr()
                or kept[1:3] != (weight._version, self.weight_binarizer)):
            binarize = get_weight_binarizer(self.weight_binarizer).function
            kept = (weight.detach(), weight._version, self.weight_binarizer,
                    binarize(weight))
            self._kept = kept
        return kept[3]

    @torch.no_grad()
    def weight_signs(self) -> Tensor:
        """Which weights are +1: what the binarizer gives, not the latent sign.

        A binarizer may centre the weights first.

        Returns:
            Tensor: Bool, of the weight's shape.
        """
        binarize = get_weight_binarizer(self.weight_binarizer).function
        return binarize(self.weight) > 0

    def train(self, mode: bool = True):
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict:
        return dict(self.__dict__, _kept=None)

    def extra_repr(self) -> str:
        return (f'{super().extra_repr()}, '
                f'weight_binarizer={self.weight_binarizer!r}')


class BinaryConv2d(_BinaryWeight, nn.Conv2d):
    """A convolution with binarized weights; padding is with zeros.

    ``weight`` is the latent real tensor ``(Cout, Cin / groups, kh, kw)``, of
    the same name and shape whatever the binarizer, so that a stage-1
    checkpoint (``weight_binarizer='real'``) loads strictly into stage 2. The
    input is used as it is: put an :class:`RSign` in front.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation,
            groups, bias: As in :class:`torch.nn.Conv2d`, but ``bias``
            defaults to False.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to
            'scaled_sign'.

    Shape:
        ``(N, Cin, H, W)`` -> ``(N, Cout, H', W')``.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: Size2d,
                 stride: Size2d = 1,
                 padding: Size2d = 0,
                 dilation: Size2d = 1,
                 groups: int = 1,
                 bias: bool = False,
                 weight_binarizer: str = 'scaled_sign'):
        get_weight_binarizer(weight_binarizer)
        super().__init__(in_channels, out_channels, kernel_size, stride,
                         padding, dilation, groups, bias)
        self.weight_binarizer = weight_binarizer

    def forward(self, x: Tensor) -> Tensor:
        weight = self._constant_weight()
        if weight is not None:
            return self._conv_forward(x, weight, self.bias)
        return binary_conv2d(x, self.weight, self.bias, self.stride,
                             self.padding, self.dilation, self.groups,
                             self.weight_binarizer)


class BinaryLinear(_BinaryWeight, nn.Linear):
    """A linear layer with binarized weights.

    Args:
        in_features, out_features, bias: As in :class:`torch.nn.Linear`, but
            ``bias`` defaults to False.
        weight_binarizer (str): See :class:`BinaryConv2d`.

    Shape:
        ``(..., in_features)`` -> ``(..., out_features)``.
    """

    def __init__(self,
                 in_features: int,
                 out_features: int,
                 bias: bool = False,
                 weight_binarizer: str = 'scaled_sign'):
        get_weight_binarizer(weight_binarizer)
        super().__init__(in_features, out_features, bias)
        self.weight_binarizer = weight_binarizer

    def forward(self, x: Tensor) -> Tensor:
        weight = self._constant_weight()
        if weight is not None:
            return F.linear(x, weight, self.bias)
        return binary_linear(x, self.weight, self.bias, self.weight_binarizer)
