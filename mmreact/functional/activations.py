"""RSign and RPReLU as functions that keep little for backward.

What autograd keeps of the plain definitions, ``sign(x - alpha)`` and
``prelu(x - gamma, beta) + zeta``, are three maps of real numbers: both
differences, and the signs for the convolution behind. Here RPReLU keeps its
input, and RSign, behind an RPReLU, nothing: its input is computed again from
what the RPReLU kept, and so are the signs for the weights' gradient
(:func:`mmreact.functional.binary_conv2d`). Under ``torch.compile`` the plain
definitions stand, as the compiler chooses itself what to keep and what to
compute again; so they do wherever something else traces or transforms the
code (:mod:`.transforms`), and for derivatives of derivatives.
"""
from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .estimators import Estimator, get_estimator, sign, signs
from .transforms import is_transformed, overridable


@overridable
def rsign(x: Tensor,
          alpha: Optional[Tensor] = None,
          estimator: Estimator = 'approx',
          channel_dim: int = 1) -> Tensor:
    """``y = +1 if x > alpha else -1``, one threshold per channel.

    Backward: ``grad_x = grad_y * g(x - alpha)`` with ``g`` the estimator, and
    ``grad_alpha = -sum(grad_x)`` over all but the channel dimension.

    Args:
        x (Tensor): Floating point, ``(N, C, *)``.
        alpha (Tensor, optional): ``(C, )``; without it the threshold is 0.
        estimator (str | dict | Callable): See :func:`get_estimator`.
        channel_dim (int): The dimension of the channels.

    Returns:
        Tensor: The shape of ``x``; the dtype of ``x - alpha``.
    """
    if alpha is not None:
        shape = [1] * x.ndim
        shape[channel_dim] = -1
        alpha = alpha.view(shape)
    if is_transformed():
        return sign(x if alpha is None else x - alpha, estimator)
    gradient = get_estimator(estimator)
    if not torch.is_grad_enabled():
        return _signs(x, alpha)
    return _RSign.apply(x, alpha, gradient)


@overridable
def rprelu(x: Tensor, gamma: Tensor, beta: Tensor, zeta: Tensor) -> Tensor:
    """``y = PReLU(x - gamma; slope beta) + zeta`` (ReActNet, eq. 5).

    With ``u = x - gamma``, backward::

        grad_x = grad_y * (1 if u > 0 else beta)     grad_zeta = sum(grad_y)
        grad_beta = sum(grad_y * min(u, 0))          grad_gamma = -sum(grad_x)

    The sums are over all but the channel dimension.

    Args:
        x (Tensor): Floating point, ``(N, C, *)``.
        gamma, beta, zeta (Tensor): ``(C, )``.

    Returns:
        Tensor: The shape of ``x``; the dtype of ``x - gamma``.
    """
    plain = is_transformed() or not torch.is_grad_enabled()
    return (_rprelu if plain else _RPReLU.apply)(x, gamma, beta, zeta)


def _rprelu(x, gamma, beta, zeta):
    """The plain definition."""
    per_channel = (-1, *[1] * (x.ndim - 2))
    gamma, beta, zeta = (p.view(per_channel) for p in (gamma, beta, zeta))
    return _prelu(x - gamma, beta, zeta)


def _prelu(u, beta, zeta):
    if torch.jit.is_tracing():  # what the ONNX exporter knows
        return F.prelu(u, beta.flatten()) + zeta
    # F.prelu is this, but autocast lets it round to half the bits on GPUs.
    out = torch.ops.aten._prelu_kernel(u, beta)
    return out + zeta if is_transformed() else out.add_(zeta)


def _signs(x, alpha):
    if alpha is None:
        return signs(x)
    return signs(x, alpha, torch.result_type(x, alpha))


class _RSign(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, alpha, gradient):
        ctx.kind = 'rsign'
        ctx.gradient = gradient
        ctx.dtype = x.dtype
        ctx.source = find_node(x, 'rprelu')
        ctx.save_for_backward(x if ctx.source is None else None, alpha)
        return _signs(x, alpha)

    @staticmethod
    def backward(ctx, grad):
        if is_recorded():
            return *_plain_backward(ctx, grad), None
        difference, alpha = _difference(ctx)
        ctx.difference = None
        grad = grad * ctx.gradient(difference)
        alpha_grad = None if alpha is None else -grad.sum_to_size(alpha.shape)
        return grad.to(ctx.dtype), alpha_grad, None


class _RPReLU(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, gamma, beta, zeta):
        ctx.kind = 'rprelu'
        ctx.dtype = x.dtype
        ctx.save_for_backward(x, gamma, beta, zeta)
        return _rprelu(x, gamma, beta, zeta)

    @staticmethod
    def backward(ctx, grad):
        if is_recorded():
            return _plain_backward(ctx, grad)
        u, beta, _ = _difference(ctx)
        ctx.difference = None
        over = [i for i in range(u.ndim) if i != 1]
        positive = torch.ops.aten.threshold_backward(grad, u, 0)
        zeta_grad = grad.sum(over)
        positive_sum = positive.sum(over)
        slope = beta.flatten()
        gamma_grad = -(positive_sum + slope * (zeta_grad - positive_sum))
        beta_grad = _product(u.clamp_(max=0), grad).sum(over)
        x_grad = positive.lerp_(grad, beta)
        return x_grad.to(ctx.dtype), gamma_grad, beta_grad, zeta_grad


def _product(x: Tensor, grad: Tensor) -> Tensor:
    """``x grad``, in place unless there are many gradients at once."""
    many = torch._C._functorch.is_legacy_batchedtensor(grad)
    return x * grad if many else x.mul_(grad)


# A node is what autograd knows of one call: the ``ctx`` of its Function. The
# backward of a call may ask the node of an earlier one, whose own backward
# comes later. What was unpacked or computed again waits there till then:
# activation checkpoints let nothing be unpacked twice.


def find_node(x: Tensor, kind: str):
    """The node that gave ``x`` if it is an 'rsign' or 'rprelu', else None."""
    return x.grad_fn if getattr(x.grad_fn, 'kind', None) == kind else None


def signs_of(node, dtype: torch.dtype) -> Tensor:
    """In backward: the output of an RSign, computed again."""
    difference, _ = _difference(node)
    return signs(difference, dtype=dtype)


def _difference(node) -> tuple:
    """``(x - alpha, alpha)`` or ``(x - gamma, beta, zeta)``."""
    if getattr(node, 'difference', None) is None:
        function = dict(rsign=_rsign_again, rprelu=_rprelu_again)[node.kind]
        node.difference = function(node, *node.saved_tensors)
    return node.difference


def _rsign_again(node, x, alpha):
    if node.source is not None:
        u, beta, zeta = _difference(node.source)
        x = _prelu(u, beta, zeta)
    return x if alpha is None else x - alpha, alpha


def _rprelu_again(node, x, gamma, beta, zeta):
    per_channel = (-1, *[1] * (x.ndim - 2))
    gamma, beta, zeta = (p.view(per_channel) for p in (gamma, beta, zeta))
    return x - gamma, beta, zeta


# A derivative that will be differentiated again (``create_graph=True``), or is
# taken for many output gradients at once, is that of the plain definition, of
# what was saved as it is in the graph.


def is_recorded() -> bool:
    """In backward: whether plain operations are asked for."""
    return torch.is_grad_enabled() or is_transformed()


def plain_output(node) -> Tensor:
    """The output of a node, computed again by the plain definition."""
    return _plain(node)[0]


def _plain(node) -> tuple:
    """The output of a node's plain definition, and all of its inputs."""
    x, *parameters = node.saved_tensors
    if node.kind == 'rprelu':
        return _rprelu(x, *parameters), (x, *parameters)
    x = plain_output(node.source) if x is None else x
    alpha, = parameters
    y = sign(x if alpha is None else x - alpha, node.gradient)
    return y, (x, alpha)


def _plain_backward(node, grad) -> tuple:
    with torch.enable_grad():
        output, inputs = _plain(node)
    return gradients_of(output, inputs, grad)


def gradients_of(output: Tensor, inputs: Sequence[Optional[Tensor]],
                 grad: Tensor) -> tuple:
    """Gradients by autograd; None where none is due."""
    due = [x is not None and x.requires_grad for x in inputs]
    gradients = iter(
        torch.autograd.grad(
            output, [x for x, is_due in zip(inputs, due) if is_due],
            grad,
            create_graph=torch.is_grad_enabled()))
    return tuple(next(gradients) if is_due else None for is_due in due)
