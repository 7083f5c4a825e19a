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
    return sign(weight, 'clip', scale=mean_magnitude(weight.detach()))


def mean_magnitude(weight: Tensor) -> Tensor:
    """``mean |W|`` per output channel, ``(Cout, 1, ...)``."""
    return weight.abs().mean(dim=tuple(range(1, weight.ndim)), keepdim=True)


def _xnor_gradient(weight: Tensor) -> Tensor:
    """See :func:`xnor_sign_weight`."""
    inside = (weight.abs() < 1).to(weight.dtype)
    factor = 1 / weight[0].numel() + mean_magnitude(weight) * inside
    return factor * (1 - 1 / weight.shape[1])


def xnor_sign_weight(weight: Tensor) -> Tensor:
    """``W -> alpha sign(W)`` with XNOR-Net's own gradient (ECCV 2016).

    The forward of :func:`scaled_sign_weight`. Gradient, with n weights in a
    filter and ``c_in = weight.shape[1]``::

        grad_W = grad_out * (1/n + alpha * 1[|W| < 1]) * (1 - 1/c_in)

    The first factor is printed in the paper, the second is in the authors'
    code only (allenai/XNOR-Net, util.lua), which also centres the weights
    over the input channels (:class:`mmreact.engine.WeightClipHook`). With one
    input channel the gradient is 0. It is a rule and no derivative: 1/n
    stands for the path through alpha, which would be a sum over the filter;
    the well-known PyTorch port (jiecaoyu/XNOR-Net-PyTorch) has that sum, and
    multiplies by n. The authors' code multiplies by n under SGD only; they
    train XNOR-Net with Adam, to which a constant factor means nothing, so
    there is no n here.
    """
    return sign(weight, _xnor_gradient, mean_magnitude(weight.detach()))


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
    scaled_sign=WeightBinarizer(scaled_sign_weight, one_bit=True),
    xnor_sign=WeightBinarizer(xnor_sign_weight, one_bit=True))


def get_weight_binarizer(name: str) -> WeightBinarizer:
    """Look a weight binarizer up.

    Raises:
        ValueError: If the name is unknown. The message lists the known ones.
    """
    if name not in WEIGHT_BINARIZERS:
        raise ValueError(f'Unknown weight binarizer {name!r}. Known weight '
                         f'binarizers: {", ".join(WEIGHT_BINARIZERS)}.')
    return WEIGHT_BINARIZERS[name]
