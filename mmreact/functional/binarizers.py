"""Weight binarizers: latent real weights -> the weights that are used.

A binarizer is a function ``f(weight) -> weight`` of the same shape; output
channels are dimension 0. A new one is a function and a row in
:data:`WEIGHT_BINARIZERS`.
"""
from typing import Callable, NamedTuple

from torch import Tensor

from .estimators import sign


def real(weight: Tensor) -> Tensor:
    """Leave the weights as they are (stage 1). Gradient: identity."""
    return weight


def sign_weight(weight: Tensor) -> Tensor:
    """``W -> sign(W)`` with ``sign(0) = -1`` (BNN, NIPS 2016).

    Gradient: ``grad_W = grad_out`` where ``|W| <= 1``, else 0.
    """
    return sign(weight, 'clip')


def scaled_sign_weight(weight: Tensor) -> Tensor:
    """``W -> alpha sign(W)``, ``alpha = mean |W|`` per output channel.

    The scale is XNOR-Net's (ECCV 2016) and, as in ReActNet's stage 2,
    a constant for the gradient: ``grad_W = grad_out`` where ``|W| <= 1``, else
    0, not multiplied by alpha.
    """
    alpha = weight.detach().abs().mean(
        dim=tuple(range(1, weight.ndim)), keepdim=True)
    return sign(weight, 'clip', scale=alpha)


class WeightBinarizer(NamedTuple):
    """A row of :data:`WEIGHT_BINARIZERS`.

    ``one_bit`` says whether, within an output channel, the result holds two
    values only, +a and -a, so that one bit stores a weight.
    """
    function: Callable[[Tensor], Tensor]
    one_bit: bool


WEIGHT_BINARIZERS = dict(
    real=WeightBinarizer(real, one_bit=False),
    sign=WeightBinarizer(sign_weight, one_bit=True),
    scaled_sign=WeightBinarizer(scaled_sign_weight, one_bit=True))


def get_weight_binarizer(name: str) -> WeightBinarizer:
    """Look a weight binarizer up.

    Raises:
        ValueError: If the name is unknown. The message lists the known ones.
    """
    if name not in WEIGHT_BINARIZERS:
        raise ValueError(f'Unknown weight binarizer {name!r}. Known weight '
                         f'binarizers: {", ".join(WEIGHT_BINARIZERS)}.')
    return WEIGHT_BINARIZERS[name]
