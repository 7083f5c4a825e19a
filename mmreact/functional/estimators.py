"""The sign function and its pseudo-gradients (straight-through estimators).

Forward, everywhere in this project (ReActNet, Liu et al., ECCV 2020)::

    sign(x) = +1 if x > 0 else -1          so sign(0) = -1

Backward: ``d loss/dx = d loss/d sign(x) * g(x)``, where ``g`` is one of the
estimators below. An estimator is a function ``g(x, **params)`` that returns a
tensor of the shape and dtype of ``x``; a new one is a function and a row in
:data:`ESTIMATORS`.
"""
import inspect
from functools import partial
from typing import Callable, Optional, Union

import torch
from torch import Tensor

from .transforms import is_functional, is_transformed, overridable

Estimator = Union[str, dict, Callable[[Tensor], Tensor]]


def identity(x: Tensor) -> Tensor:
    """``g(x) = 1`` (Bengio et al., arXiv:1308.3432)."""
    return torch.ones_like(x)


def clipped_identity(x: Tensor, threshold: float = 1.0) -> Tensor:
    """``g(x) = 1 if |x| <= threshold else 0`` (BNN, NIPS 2016).

    Thresholds in use: 1 (BNN, XNOR-Net), 1.25 (ResNetE), 1.3 (MeliusNet).
    """
    return x.abs().le_(threshold)


def approx_sign(x: Tensor) -> Tensor:
    """``g(x) = 2 + 2x on [-1, 0), 2 - 2x on [0, 1), else 0``.

    The derivative of the piecewise quadratic that Bi-Real Net (ECCV
    2018) puts in the place of the sign; also ReActNet's.
    """
    return torch.rsub(x.abs(), 2, alpha=2).clamp_(min=0)


def swish_sign(x: Tensor, beta: float = 5.0) -> Tensor:
    """``g(x) = beta (2 - beta x tanh(beta x / 2)) / (1 + cosh(beta x))``.

    The derivative of SwishSign, ``2 s(bx) (1 + bx (1 - s(bx))) - 1`` with
    ``s`` the logistic function (BNN+, Darabi et al., arXiv:1812.11800).
    Written with ``1 / (1 + cosh(z)) = 2 s(z) s(-z)``, which cannot overflow.
    """
    z = beta * x
    return 2 * beta * torch.sigmoid(z) * torch.sigmoid(-z) * (
        2 - z * torch.tanh(z / 2))


def tanh_schedule(x: Tensor,
                  progress: float = 0.0,
                  t_min: float = 0.1,
                  t_max: float = 10.0) -> Tensor:
    """``g(x) = k t (1 - tanh(t x)^2)``, the EDE of IR-Net (CVPR 2020).

    ``t = t_min (t_max / t_min)^progress`` and ``k = max(1 / t, 1)``: nearly
    the identity at the start of training (``progress`` 0) and nearly the sign
    at its end (``progress`` 1).
    """
    t = t_min * (t_max / t_min)**progress
    k = max(1 / t, 1.0)
    return k * t * (1 - torch.tanh(t * x).square())


#: Name -> pseudo-gradient ``g(x, **params)``.
ESTIMATORS = dict(
    identity=identity,
    clip=clipped_identity,
    approx=approx_sign,
    swish=swish_sign,
    tanh=tanh_schedule)


def get_estimator(estimator: Estimator) -> Callable[[Tensor], Tensor]:
    """Turn a name, a config or a function into a pseudo-gradient ``g(x)``.

    Args:
        estimator (str | dict | Callable): A key of :data:`ESTIMATORS`, a dict
            with that key as ``type`` and the estimator's parameters, e.g.
            ``dict(type='clip', threshold=1.3)``, or ``g`` itself.

    Raises:
        ValueError: If the name or a parameter is unknown. The message lists
            the known ones.
    """
    if callable(estimator):
        return estimator
    params = dict(
        type=estimator) if isinstance(estimator, str) else dict(estimator)
    name = params.pop('type', None)
    if name not in ESTIMATORS:
        raise ValueError(f'Unknown sign estimator {name!r}. Known estimators: '
                         f'{", ".join(ESTIMATORS)}.')
    function = ESTIMATORS[name]
    known = list(inspect.signature(function).parameters)[1:]
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ValueError(f'The sign estimator {name!r} has no parameter '
                         f'{", ".join(unknown)}. Its parameters: '
                         f'{", ".join(known) if known else "none"}.')
    return partial(function, **params) if params else function


def at_progress(estimator: Estimator, progress: float) -> Estimator:
    """Set the training progress of an estimator that depends on it.

    Args:
        estimator (str | dict | Callable): See :func:`get_estimator`.
        progress (float): From 0, the start of training, to 1, its end.

    Returns:
        dict | Callable: ``dict(type=..., progress=progress, ...)``; an
        estimator without a parameter ``progress`` is returned as it is.
    """
    get_estimator(estimator)  # unknown names are errors here too
    if callable(estimator):
        return estimator
    params = dict(
        type=estimator) if isinstance(estimator, str) else dict(estimator)
    function = ESTIMATORS[params['type']]
    if 'progress' not in inspect.signature(function).parameters:
        return estimator
    return dict(params, progress=progress)


def signs(x: Tensor,
          threshold: Union[float, Tensor] = 0.,
          dtype: Optional[torch.dtype] = None) -> Tensor:
    """``+1 if x > threshold else -1``, without a gradient.

    Args:
        x (Tensor): Any shape.
        threshold (float | Tensor): Broadcastable to ``x``.
        dtype (torch.dtype, optional): Of the result; defaults to that of x.
    """
    dtype = dtype or x.dtype
    if is_transformed():
        return torch.where(x > threshold, 1.0, -1.0).to(dtype)
    # On a CPU, torch.where takes 8 times as long as all of this.
    out = torch.empty_like(x, dtype=dtype, requires_grad=False)
    return torch.gt(x, threshold, out=out).mul_(2).sub_(1)


class _Sign(torch.autograd.Function):
    """Forward ``scale * sign(x)``; backward ``grad * g(x)``, scale left out.
    """

    @staticmethod
    def forward(ctx, x, scale, gradient):
        ctx.save_for_backward(x)
        ctx.gradient = gradient
        return _scaled_signs(x, scale)

    @staticmethod
    def backward(ctx, grad):
        x, = ctx.saved_tensors
        return grad * ctx.gradient(x), None, None


class _FunctionalSign(torch.autograd.Function):
    """The same for torch.func and forward mode: 20 us slower to call."""
    generate_vmap_rule = True

    @staticmethod
    def forward(x, scale, gradient):
        return _scaled_signs(x, scale)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, _, ctx.gradient = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    backward = _Sign.backward

    @staticmethod
    def jvp(ctx, x_tangent, *_):
        x, = ctx.saved_tensors
        return x_tangent * ctx.gradient(x)


def _scaled_signs(x: Tensor, scale: Optional[Tensor]) -> Tensor:
    out = signs(x)
    return out if scale is None else out.mul_(scale.to(x.dtype))


def _traced_sign(x: Tensor, scale: Optional[Tensor], gradient) -> Tensor:
    """The sign of operations only, as torch.jit.trace can keep it.

    ``g(x) (x - x)``, whose second ``x`` and ``g(x)`` are constants, adds 0 to
    the values and ``g(x)`` to the derivative. ONNX has no derivatives.
    """
    out = signs(x)
    if scale is not None:
        out = out * scale.to(x.dtype)
    if torch.onnx.is_in_onnx_export():
        return out
    constant = x.detach()
    return out + gradient(constant) * (x - constant)


@overridable
def sign(x: Tensor,
         estimator: Estimator = 'approx',
         scale: Optional[Tensor] = None) -> Tensor:
    """Binarize a tensor.

    Forward: ``scale * (+1 if x > 0 else -1)``, so ``sign(0) = -1`` (and NaN
    gives -1 too). Backward: ``grad_x = grad_out * g(x)`` with ``g`` the
    estimator. The scale is a constant: it gets no gradient and does not
    multiply ``grad_x``.

    Args:
        x (Tensor): Floating point, any shape.
        estimator (str | dict | Callable): See :func:`get_estimator`.
        scale (Tensor, optional): Broadcastable to ``x``.

    Returns:
        Tensor: Shape and dtype of ``x``.
    """
    scale = None if scale is None else scale.detach()
    if torch.jit.is_tracing():
        return _traced_sign(x, scale, get_estimator(estimator))
    compiling = torch.compiler.is_compiling()  # takes no rule for forward mode
    function = _FunctionalSign if not compiling and is_functional() else _Sign
    return function.apply(x, scale, get_estimator(estimator))
