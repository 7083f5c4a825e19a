"""The naive twin of a network: the same layers as most public code has them.

Written from the formulas of ReActNet with what autograd offers, in the style
of the released training codes: the sign's pseudo-gradient is that of a
piecewise polynomial which is added and subtracted again behind ``detach``,
masks are numbers, and weights are binarized in each call. Parameters have the
names and shapes of ours, so that both load the same checkpoint.
"""
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmreact.layers import BinaryConv2d, HalvingPool, RPReLU, RSign


def polynomial_sign(x: Tensor) -> Tensor:
    """Value of the sign, gradient of the piecewise quadratic."""
    below, negative, inside = ((x < bound).float() for bound in (-1, 0, 1))
    left = below * -1 + (1 - below) * (x * x + 2 * x)
    both = negative * left + (1 - negative) * (2 * x - x * x)
    smooth = inside * both + (1 - inside) * 1
    return torch.sign(x).detach() - smooth.detach() + smooth


class NaiveRSign(nn.Module):

    def __init__(self, layer: RSign):
        super().__init__()
        self.alpha = layer.alpha

    def forward(self, x: Tensor) -> Tensor:
        return polynomial_sign(x - self.alpha.view(1, -1, 1, 1).expand_as(x))


class NaiveBinaryConv2d(nn.Module):

    def __init__(self, layer: BinaryConv2d):
        super().__init__()
        self.weight = layer.weight
        self.options = dict(stride=layer.stride, padding=layer.padding)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight.abs().mean((1, 2, 3), keepdim=True).detach()
        binary = scale * torch.sign(self.weight)
        clipped = self.weight.clamp(-1, 1)
        weight = binary.detach() - clipped.detach() + clipped
        return F.conv2d(x, weight, **self.options)


class NaiveRPReLU(nn.Module):

    def __init__(self, layer: RPReLU):
        super().__init__()
        self.gamma, self.beta = layer.gamma, layer.beta
        self.zeta = layer.zeta

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.gamma.view(1, -1, 1, 1).expand_as(x)
        x = F.prelu(x, self.beta)
        return x + self.zeta.view(1, -1, 1, 1).expand_as(x)


def plain_pool(layer: HalvingPool) -> nn.AvgPool2d:
    return nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)


NAIVE = {
    RSign: NaiveRSign,
    BinaryConv2d: NaiveBinaryConv2d,
    RPReLU: NaiveRPReLU,
    HalvingPool: plain_pool
}


def naive_twin(model: nn.Module) -> nn.Module:
    """A copy of a ReActNet (stage 2) with the naive layers in it."""
    model = deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) in NAIVE:
                setattr(parent, name, NAIVE[type(child)](child))
    return model
