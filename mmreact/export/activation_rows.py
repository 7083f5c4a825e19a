"""How activation functions become operations."""
import operator

import torch
import torch.nn.functional as F

from ..packed import ops
from .draft import Ref
from .rows import Site, lowers

NO_BOUND = ops.Clamp.high


@lowers(torch.clamp, torch.clip, 'clamp', 'clip', pointwise=True)
def clamp(site: Site, input: Ref, min=None, max=None) -> Ref:
    low, high = (bound if default is None else default
                 for bound, default in ((-NO_BOUND, min), (NO_BOUND, max)))
    site.require(
        isinstance(low, (int, float)) and isinstance(high, (int, float)),
        'its bounds are no numbers')
    return site.add(ops.Clamp, input, low=float(low), high=float(high))


@lowers(torch.clamp_min, 'clamp_min', pointwise=True)
def clamp_min(site: Site, input: Ref, min) -> Ref:
    return clamp(site, input, min)


@lowers(torch.clamp_max, 'clamp_max', pointwise=True)
def clamp_max(site: Site, input: Ref, max) -> Ref:
    return clamp(site, input, None, max)


@lowers(F.relu, torch.relu, 'relu', pointwise=True)
def relu(site: Site, input: Ref, inplace: bool = False) -> Ref:
    return clamp(site, input, 0.)


@lowers(F.relu6, pointwise=True)
def relu6(site: Site, input: Ref, inplace: bool = False) -> Ref:
    return clamp(site, input, 0., 6.)


@lowers(F.hardtanh, pointwise=True)
def hardtanh(site: Site,
             input: Ref,
             min_val: float = -1.,
             max_val: float = 1.,
             inplace: bool = False) -> Ref:
    return clamp(site, input, min_val, max_val)


@lowers(F.sigmoid, torch.sigmoid, 'sigmoid', pointwise=True)
def sigmoid(site: Site, input: Ref) -> Ref:
    return site.add(ops.Sigmoid, input)


@lowers(F.tanh, torch.tanh, 'tanh', pointwise=True)
def tanh(site: Site, input: Ref) -> Ref:
    return site.add(ops.Tanh, input)


@lowers(operator.abs, abs, torch.abs, 'abs', pointwise=True)
def absolute(site: Site, input: Ref) -> Ref:
    return site.add(ops.Abs, input)


@lowers(
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    pointwise=True)
def dropout(site: Site,
            input: Ref,
            p: float = 0.5,
            training: bool = True,
            inplace: bool = False) -> Ref:
    site.require(not training or p == 0, 'it drops in eval mode, too')
    return input


try:
    from torchvision.ops import stochastic_depth
except ImportError:  # then no model has it
    pass
else:

    @lowers(stochastic_depth, pointwise=True)
    def drop_paths(site: Site,
                   input: Ref,
                   p: float,
                   mode: str,
                   training: bool = True) -> Ref:
        return dropout(site, input, p, training)
