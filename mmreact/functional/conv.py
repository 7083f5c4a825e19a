"""The float definition of a binary convolution and a binary linear layer.

This is what training computes and what every packed backend must reproduce.
"""
from typing import Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.nn.modules.utils import _pair

from .activations import (find_node, gradients_of, is_recorded, plain_output,
                          signs_of)
from .binarizers import get_weight_binarizer
from .transforms import is_transformed, overridable

Size2d = Union[int, Tuple[int, int]]


@overridable
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
    contributes nothing. For backward it keeps the latent weights, which it
    binarizes again, and the input; signs that come from
    :func:`mmreact.functional.rsign` are computed again there.

    Gradients: those of the convolution; that of the weights as the binarizer
    says.

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
    binarize = get_weight_binarizer(binarizer).function
    window = stride, padding, dilation, groups
    if (is_transformed() or not torch.is_grad_enabled()
            or isinstance(padding, str)):
        return F.conv2d(x, binarize(weight), bias, *window)
    return _BinaryConv2d.apply(x, weight, bias, window, binarize)


class _BinaryConv2d(torch.autograd.Function):
    """See :func:`binary_conv2d`."""

    @staticmethod
    def forward(ctx, x, weight, bias, window, binarize):
        ctx.rsign = find_node(x, 'rsign')
        ctx.save_for_backward(x if ctx.rsign is None else None, weight)
        ctx.dtypes = x.dtype, None if bias is None else bias.dtype
        ctx.window, ctx.binarize = window, binarize
        return F.conv2d(x, binarize(weight), bias, *window)

    @staticmethod
    def backward(ctx, grad):
        if is_recorded():
            return _BinaryConv2d.plain_backward(ctx, grad)
        x, weight = ctx.saved_tensors
        # Under autocast, grad has the convolution's dtype.
        x = x.to(grad.dtype) if ctx.rsign is None else signs_of(
            ctx.rsign, grad.dtype)
        dtype, bias_dtype = ctx.dtypes
        has_bias = bias_dtype is not None
        stride, padding, dilation, groups = ctx.window

        def gradients(weight, *which):
            return torch.ops.aten.convolution_backward(
                grad, x, weight, [len(weight)] if has_bias else None,
                _pair(stride), _pair(padding), _pair(dilation), False, [0, 0],
                groups, which)

        with torch.enable_grad():
            latent = weight.detach().requires_grad_()
            used = ctx.binarize(latent)
        # The weights of the last blocks are larger than their maps. So the
        # input's gradient comes first, and what only it needs goes: that of
        # the weights needs their shape, and where binarization comes from.
        edge, used_dtype = get_gradient_edge(used), used.dtype
        x_grad = weight_grad = None
        if ctx.needs_input_grad[0]:
            x_grad = gradients(used.detach().to(grad.dtype), True, False,
                               False)[0].to(dtype)
        del used
        _, used_grad, bias_grad = gradients(
            weight.to(grad.dtype), False, ctx.needs_input_grad[1], has_bias)
        if used_grad is not None:
            weight_grad, = torch.autograd.grad(edge, latent,
                                               used_grad.to(used_dtype))
        return (x_grad, weight_grad,
                None if bias_grad is None else bias_grad.to(bias_dtype), None,
                None)

    @staticmethod
    def plain_backward(ctx, grad):
        """Gradients of plain operations."""
        x, weight = ctx.saved_tensors
        with torch.enable_grad():
            x = plain_output(ctx.rsign) if x is None else x
            out = F.conv2d(
                x.to(grad.dtype),
                ctx.binarize(weight).to(grad.dtype), None, *ctx.window)
        bias_grad = None if ctx.dtypes[1] is None else grad.sum(
            (0, 2, 3)).to(ctx.dtypes[1])
        return (*gradients_of(out, (x, weight), grad), bias_grad, None, None)


@overridable
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
