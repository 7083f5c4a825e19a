"""The float definition of a binary convolution and a binary linear layer.

This is what training computes and what every packed backend must reproduce.
"""
from typing import Optional, Tuple, Union

import torch.nn.functional as F
from torch import Tensor

from .binarizers import get_weight_binarizer

Size2d = Union[int, Tuple[int, int]]


def binary_conv2d(x: Tensor,
                  weight: Tensor,
                  bias: Optional[Tensor] = None,
                  stride: Size2d = 1,
                  padding: Size2d = 0,
                  dilation: Size2d = 1,
                  groups: int = 1,
                  binarizer: str = 'scaled_sign') -> Tensor:
    """Convolve ``x`` with binarized weights.

    The input is used as it is: binarize it first (:class:`mmreact.RSign`).
    Padding adds **zeros** to the map of +1 and -1, so a padded tap
    contributes nothing.

    Args:
        x (Tensor): ``(N, Cin, H, W)``.
        weight (Tensor): Latent real weights ``(Cout, Cin / groups, kh, kw)``.
        bias (Tensor, optional): ``(Cout, )``.
        stride, padding, dilation, groups: As in
            :func:`torch.nn.functional.conv2d`.
        binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`.

    Returns:
        Tensor: ``(N, Cout, H', W')``.
    """
    weight = get_weight_binarizer(binarizer).function(weight)
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def binary_linear(x: Tensor,
                  weight: Tensor,
                  bias: Optional[Tensor] = None,
                  binarizer: str = 'scaled_sign') -> Tensor:
    """Apply a linear layer with binarized weights.

    Args:
        x (Tensor): ``(..., in_features)``, used as it is.
        weight (Tensor): Latent real weights ``(out_features, in_features)``.
        bias (Tensor, optional): ``(out_features, )``.
        binarizer (str): See :func:`binary_conv2d`.

    Returns:
        Tensor: ``(..., out_features)``.
    """
    weight = get_weight_binarizer(binarizer).function(weight)
    return F.linear(x, weight, bias)
