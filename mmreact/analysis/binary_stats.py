"""What can be said about 1-bit layers while they train.

A statistic is a tensor with one element on the layer's device; nothing waits
for the device until :func:`to_numbers` fetches all of them at once. A weight
counts as +1 if its binarizer makes it +1, a value if it is above the
threshold.
"""
from typing import Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from ..functional import get_estimator, get_weight_binarizer
from ..layers import BinaryConv2d, BinaryLinear, RPReLU, RSign

#: The name of their log.
FILE = 'binary_stats.json'

Statistics = Dict[str, Tensor]


def binary_layers(model: nn.Module) -> Dict[str, nn.Module]:
    """The layers that have statistics, by name."""
    types = (RSign, RPReLU, BinaryConv2d, BinaryLinear)
    return {
        name: module
        for name, module in model.named_modules() if isinstance(module, types)
    }


def weight_signs(layers: Dict[str, nn.Module]) -> Dict[str, Tensor]:
    """Which weights of 1-bit layers are +1, a byte each."""
    return {
        name: layer.weight_signs()
        for name, layer in layers.items()
        if getattr(layer, 'one_bit_weight', False)
    }


def centre(layer: RSign, x: Tensor) -> Tensor:
    """``x - alpha``, what the sign is taken of."""
    if layer.alpha is None:
        return x
    shape = [1] * x.ndim
    shape[layer.channel_dim] = -1
    return x - layer.alpha.view(shape)


class SignCounts(NamedTuple):
    """What reached a sign: ``positive`` and ``zero_gradient`` are int64.

    ``positive`` ``(C, )`` counts the +1 of each channel, ``zero_gradient``
    ``()`` the values that the estimator lets no gradient through to;
    ``number`` is how many values a channel had.
    """
    positive: Tensor
    zero_gradient: Tensor
    number: int


@torch.no_grad()
def count_signs(layer: RSign, x: Tensor) -> SignCounts:
    """Count what becomes of a layer's input."""
    x = centre(layer, x.detach())
    others = list(range(x.ndim))
    del others[layer.channel_dim]
    zeros = get_estimator(layer.estimator)(x) == 0
    return SignCounts((x > 0).sum(others), zeros.sum(),
                      x.numel() // x.shape[layer.channel_dim])


class SignCounter:
    """A forward pre-hook that counts for each RSign that it is put on.

    A layer that runs more than once, as one whose activations are recomputed
    for the backward pass does, is counted as often.
    """

    def __init__(self):
        self.counts: Dict[nn.Module, SignCounts] = {}

    def __call__(self, layer: RSign, args: Tuple[Tensor, ...]) -> None:
        new = count_signs(layer, args[0])
        if layer in self.counts:
            new = SignCounts(*map(sum, zip(self.counts[layer], new)))
        self.counts[layer] = new


@torch.no_grad()
def layer_statistics(layer: nn.Module,
                     counts: Optional[SignCounts] = None,
                     signs: Optional[Tensor] = None) -> Statistics:
    """The statistics of a layer; what makes no sense for it is left out.

    Args:
        layer (nn.Module): One of :func:`binary_layers`.
        counts (SignCounts, optional): Of an RSign that takes signs.
        signs (Tensor, optional): Of a 1-bit layer: :func:`weight_signs` at
            an earlier time.

    Returns:
        dict[str, Tensor]: Scalars; the names are those of
        docs/watching_training.md.
    """
    if isinstance(layer, RPReLU):
        return {**_spread('gamma', layer.gamma), **_spread('zeta', layer.zeta)}
    if isinstance(layer, RSign):
        found = {} if layer.alpha is None else _spread('alpha', layer.alpha)
        return found if counts is None else {**found, **_of_counts(counts)}
    weight = layer.weight.detach()
    found = dict(weight_magnitude=weight.abs().float().mean())
    if layer.one_bit_weight:
        zeros = _weight_gradient(layer) == 0
        found['weight_zero_gradient'] = zeros.float().mean()
        if signs is not None:
            found['sign_flips'] = (signs
                                   != layer.weight_signs()).float().mean()
    return found


def _of_counts(counts: SignCounts) -> Statistics:
    positive, zeros, number = counts
    dead = (positive == 0) | (positive == number)
    return dict(
        _spread('positive_share', positive / number),
        activation_zero_gradient=zeros / (number * len(positive)),
        dead_channels=dead.sum())


def _spread(name: str, values: Tensor) -> Statistics:
    """Minimum, median (the mean of the middle two) and maximum."""
    values = values.detach().float().sort().values
    size = len(values)
    median = (values[(size - 1) // 2] + values[size // 2]) / 2
    return {
        f'{name}_min': values[0],
        f'{name}_median': median,
        f'{name}_max': values[-1]
    }


def _weight_gradient(layer: nn.Module) -> Tensor:
    """What the weight binarizer makes of a gradient of ones."""
    weight = layer.weight.detach().requires_grad_()
    with torch.enable_grad():
        used = get_weight_binarizer(layer.weight_binarizer).function(weight)
    return torch.autograd.grad(used, weight, torch.ones_like(used))[0]


def to_numbers(statistics: Statistics) -> Dict[str, float]:
    """Fetch statistics from the device, in one transfer."""
    if not statistics:
        return {}
    values = torch.stack([value.float() for value in statistics.values()])
    return dict(zip(statistics, values.tolist()))
