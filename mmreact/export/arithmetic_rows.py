"""How arithmetic with values and constants becomes operations."""
import operator
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..packed import ops
from .draft import Ref
from .rows import Site, lowers

Number = (int, float)


@lowers(operator.add, torch.add, 'add', pointwise=True)
def add(site: Site, input, other, alpha=1) -> Ref:
    if alpha != 1:
        other = site.affine(
            other, alpha, part='other') if isinstance(other,
                                                      Ref) else alpha * other
    if isinstance(input, Ref) and isinstance(other, Ref):
        return site.add(ops.Add, input, other)
    x, value = (input, other) if isinstance(input, Ref) else (other, input)
    return site.affine(x, 1., _per_channel(site, x, value))


@lowers(operator.sub, torch.sub, 'sub', pointwise=True)
def subtract(site: Site, input, other, alpha=1) -> Ref:
    if isinstance(other, Ref):
        return add(site, input, site.affine(other, -alpha, part='negative'))
    return add(site, input, -alpha * other)


@lowers(operator.neg, torch.neg, 'neg', pointwise=True)
def negate(site: Site, input: Ref) -> Ref:
    return site.affine(input, -1.)


@lowers(operator.mul, torch.mul, 'mul', pointwise=True)
def multiply(site: Site, input, other) -> Ref:
    if isinstance(input, Ref) and isinstance(other, Ref):
        return site.add(ops.Multiply, input, other)
    x, value = (input, other) if isinstance(input, Ref) else (other, input)
    factor = _aligned(site, x, value)
    if prod(factor.shape) == len(factor):
        return site.affine(x, factor.reshape(-1))
    return site.add(ops.Scale, x, factor=factor)


@lowers(operator.truediv, torch.div, 'div', pointwise=True)
def divide(site: Site, input: Ref, other) -> Ref:
    site.require(
        isinstance(input, Ref) and isinstance(other, (Tensor, *Number)),
        'known is the division by a constant')
    return multiply(site, input, 1 / torch.as_tensor(other).double())


def _aligned(site: Site, x: Ref, value) -> np.ndarray:
    """A constant beside ``x``, in the dimensions behind the batch's."""
    site.require(
        isinstance(value, (Tensor, *Number)), f'{value!r} is no constant')
    array = site.array(torch.as_tensor(value, dtype=torch.float64))
    shape = (1, ) * (len(x.shape) - array.ndim) + array.shape
    site.require(
        len(shape) == len(x.shape) and shape[0] == 1
        and all(n in (1, m) for n, m in zip(shape, x.shape)),
        f'a constant {array.shape} does not fit {x.shape}')
    return array.reshape(shape[1:])


def _per_channel(site: Site, x: Ref, value) -> np.ndarray:
    array = _aligned(site, x, value)
    site.require(
        prod(array.shape) == len(array),
        f'a constant {array.shape} differs within a channel')
    return array.reshape(-1)
