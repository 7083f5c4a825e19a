"""How activation functions that are not piecewise linear become operations."""
import torch
import torch.nn.functional as F

from ..packed import ops
from .draft import Ref
from .rows import Site, lowers

#: SELU's constants (NeurIPS 2017), as torch has them.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@lowers(F.hardsigmoid, pointwise=True)
def hardsigmoid(site: Site, input: Ref, inplace: bool = False) -> Ref:
    return site.add(ops.Hardsigmoid, input)


@lowers(F.hardswish, pointwise=True)
def hardswish(site: Site, input: Ref, inplace: bool = False) -> Ref:
    return site.add(ops.Hardswish, input)


@lowers(F.silu, pointwise=True)
def silu(site: Site, input: Ref, inplace: bool = False) -> Ref:
    return site.add(ops.SiLU, input)


@lowers(F.gelu, pointwise=True)
def gelu(site: Site, input: Ref, approximate: str = 'none') -> Ref:
    return site.add(ops.GELU, input, approximate=approximate == 'tanh')


@lowers(F.elu, pointwise=True)
def elu(site: Site,
        input: Ref,
        alpha: float = 1.,
        inplace: bool = False) -> Ref:
    return site.add(ops.ELU, input, alpha=float(alpha))


@lowers(F.selu, torch.selu, pointwise=True)
def selu(site: Site, input: Ref, inplace: bool = False) -> Ref:
    y = site.add(ops.ELU, input, part='elu', alpha=SELU_ALPHA)
    return site.affine(y, SELU_SCALE)


@lowers(F.celu, torch.celu, pointwise=True)
def celu(site: Site,
         input: Ref,
         alpha: float = 1.,
         inplace: bool = False) -> Ref:
    y = site.affine(input, 1 / alpha, part='scale')
    y = site.add(ops.ELU, y, part='elu', alpha=1.)
    return site.affine(y, alpha)


@lowers(F.softplus, pointwise=True)
def softplus(site: Site,
             input: Ref,
             beta: float = 1.,
             threshold: float = 20.) -> Ref:
    # From there on the result is the rounded input.
    site.require(threshold >= 15, f'its threshold is {threshold}, below 15')
    if beta == 1:
        return site.add(ops.Softplus, input)
    y = site.affine(input, beta, part='scale')
    return site.affine(site.add(ops.Softplus, y, part='softplus'), 1 / beta)


@lowers(F.logsigmoid, pointwise=True)
def logsigmoid(site: Site, input: Ref) -> Ref:
    """``log(1 / (1 + exp(-x))) = -log(1 + exp(-x))``."""
    y = site.affine(input, -1., part='negative')
    return site.affine(site.add(ops.Softplus, y, part='softplus'), -1.)


@lowers(F.mish, pointwise=True)
def mish(site: Site, input: Ref, inplace: bool = False) -> Ref:
    """``x tanh(log(1 + exp(x)))``."""
    y = site.add(ops.Softplus, input, part='softplus')
    return site.add(ops.Multiply, input, site.add(ops.Tanh, y, part='tanh'))
