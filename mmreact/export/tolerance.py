"""How exact an operation must be, and what is exact in it."""
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import BinaryConv2d, BinaryLinear
from ..packed import ops
from ..packed.bits import pack
from ..packed.reference import run_operation

#: Of a real result, relative to the sum of the magnitudes of its terms.
TOLERANCE = 2.**-21
#: The same where weights are stored in float16.
HALF_TOLERANCE = 2.**-11
#: The same for the sums in float32 of another backend than the reference.
BACKEND_TOLERANCE = 2.**-18


def accumulate(layer: nn.Module, x: Tensor) -> Tensor:
    """What a 1-bit layer counts: its input times the signs of its weights.

    Args:
        layer (BinaryConv2d | BinaryLinear): Its binarizer gives the signs.
        x (Tensor): +1 and -1; of a linear layer vectors, or images with the
            channels that it takes.
    """
    signs = layer.weight_signs().to('cpu', torch.float64)
    weight = 2 * signs - 1
    if isinstance(layer, BinaryLinear):
        return F.linear(x.double().movedim(1, -1), weight).movedim(-1, 1)
    assert isinstance(layer, BinaryConv2d)
    return F.conv2d(x.double(), weight, None, layer.stride, layer.padding,
                    layer.dilation, layer.groups)


def magnitude(op: ops.Operation, *inputs: np.ndarray) -> np.ndarray:
    """The sum of the magnitudes of an operation's terms.

    Args:
        inputs (ndarray): Magnitudes of the inputs.
    """
    constants = {
        name: np.abs(value)
        for name, value in op.tensors().items() if value.dtype.kind == 'f'
    }
    if isinstance(op, (ops.BinaryConv2d, ops.BinaryLinear)):
        channels = op.in_channels // getattr(op, 'groups', 1)
        ones = np.ones((*op.weight.shape[:-1], channels))
        constants['weight'] = pack(ones)
    elif isinstance(op, ops.RPReLU):
        gamma, beta, zeta = (column(v, inputs[0]) for v in constants.values())
        return (inputs[0] + gamma) * np.maximum(beta, 1) + zeta
    elif type(op) in _MAGNITUDES:
        return _MAGNITUDES[type(op)](op, *inputs)
    elif is_half(op):
        # Numbers below 2^-14 keep an absolute precision only.
        constants['weight'] = constants['weight'] + np.float32(2.**-13)
    return run_operation(replace(op, **constants), *inputs)


def _normalized(op: ops.Operation, x: np.ndarray) -> np.ndarray:
    """Magnitudes deviate less from their mean than the numbers themselves."""
    weight, bias = np.abs(op.weight), np.abs(op.bias)
    flat = (len(x), getattr(op, 'groups', 1), -1)
    grouped = x.reshape(flat) if isinstance(op, ops.GroupNorm) else x
    axis = 2 if isinstance(op, ops.GroupNorm) else 1
    mean = grouped.mean(axis, keepdims=True, dtype=np.float64)
    scale = np.sqrt(grouped.var(axis, keepdims=True) + op.eps)
    terms = ((grouped + mean) / scale).reshape(x.shape)
    return column(weight, x) * terms + column(bias, x)


def _log_softmax(op: ops.LogSoftmax, x: np.ndarray) -> np.ndarray:
    return x + x.max(1, keepdims=True) + np.log(x.shape[1])


#: What the rule of :func:`magnitude` is not true for.
_MAGNITUDES = {
    ops.ELU: lambda op, x: x * max(1, abs(op.alpha)),
    ops.Softmax: lambda op, x: np.ones_like(x),
    ops.LogSoftmax: _log_softmax,
    ops.GroupNorm: _normalized,
    ops.LayerNorm: _normalized,
    ops.Pad: lambda op, x: run_operation(replace(op, value=abs(op.value)), x),
}


def is_half(op: ops.Operation) -> bool:
    """Whether real weights went through float16."""
    if not isinstance(op, (ops.Conv2d, ops.Linear)):
        return False
    with np.errstate(over='ignore'):
        return bool((op.weight == op.weight.astype(np.float16)).all())


def in_tolerances(error: np.ndarray, tolerance: np.ndarray) -> float:
    """The largest error in units of what is allowed; 0 of 0 is none."""
    error = np.abs(error)
    if not np.isfinite(error).all():
        return float('inf')
    allowed = np.maximum(tolerance, np.finfo(np.float32).tiny)
    return float((error / allowed).max(initial=0.))


def column(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *[1] * (like.ndim - 2))
