"""Fold what is linear per channel into the operations beside it.

All of it is exact but for the rounding of float64. An operation is folded only
if nothing else takes the result that disappears.
"""
from dataclasses import replace
from typing import Tuple

import numpy as np

from ..packed import ops
from .draft import Draft

#: Into these a scale and a shift behind them are folded.
LINEAR = (ops.Conv2d, ops.ConvTranspose2d, ops.Linear, ops.BinaryConv2d,
          ops.BinaryLinear, ops.Affine)


def fold(draft: Draft) -> None:
    """Fold, first into the signs, then what is left into the linear layers.
    """
    for name in list(draft.operations):
        if isinstance(draft.operations[name], ops.Sign):
            _fold_into_sign(draft, name)
    for name in list(draft.operations):
        if isinstance(draft.operations[name], ops.Affine):
            _fold_into_linear(draft, draft.operations[name])


def _fold_into_sign(draft: Draft, name: str) -> None:
    while True:
        sign = draft.operations[name]
        before = draft.only_producer(sign)
        if isinstance(before, ops.Clamp):
            constants = clamp_then_sign(before.low, before.high,
                                        sign.threshold, sign.flip)
        elif isinstance(
                before,
                ops.Affine) and draft.values[before.inputs[0]].kind == 'real':
            constants = affine_then_sign(before.scale, before.shift,
                                         sign.threshold, sign.flip)
        else:
            return
        threshold, flip = constants
        draft.merge(
            before.name, name,
            replace(
                sign, inputs=before.inputs, threshold=threshold, flip=flip))


def affine_then_sign(scale: np.ndarray, shift: np.ndarray,
                     threshold: np.ndarray,
                     flip: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Threshold and flip of ``sign(scale x + shift)`` as a sign of ``x``.

    ``scale x + shift > t`` is ``x > (t - shift) / scale`` for a positive
    scale, ``x < (t - shift) / scale`` for a negative one, and does not depend
    on ``x`` for a scale of 0.

    Args:
        scale, shift, threshold, flip (ndarray): ``(C, )``, float64 and uint8.
    """
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        moved = (threshold - shift) / scale
    plus = np.where(flip == 1, shift < threshold, shift > threshold)
    constant = scale == 0
    moved = np.where(constant, np.where(plus, -np.inf, np.inf), moved)
    turned = np.where(constant, 0, flip ^ (scale < 0))
    return moved + 0., turned.astype(np.uint8)  # + 0.: no threshold of -0


def clamp_then_sign(low: float, high: float, threshold: np.ndarray,
                    flip: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Threshold and flip of ``sign(clamp(x))`` as a sign of ``x``.

    A threshold between the bounds stays what it is. If all values of the
    clamp are on one side of it, the sign is constant.
    """
    low, high = np.float32(low), np.float32(high)
    # Without flip +1 is above the threshold, with it below.
    always = np.where(flip == 1, high < threshold, low > threshold)
    never = np.where(flip == 1, low >= threshold, high <= threshold)
    threshold = np.where(always, -np.inf, np.where(never, np.inf, threshold))
    return threshold, np.where(always | never, 0, flip).astype(np.uint8)


def _fold_into_linear(draft: Draft, affine: ops.Affine) -> None:
    before = draft.only_producer(affine)
    if not isinstance(before, LINEAR):
        return
    scale, shift = affine.scale, affine.shift
    if isinstance(before, (ops.Conv2d, ops.Linear)):
        column = scale.reshape(-1, *[1] * (before.weight.ndim - 1))
        constants = dict(
            weight=column * before.weight, bias=scale * before.bias + shift)
    elif isinstance(before, ops.ConvTranspose2d):
        # (groups, inputs, outputs, kh, kw) of each group
        weight = before.weight.reshape(before.groups, -1,
                                       *before.weight.shape[1:])
        weight = scale.reshape(before.groups, 1, -1, 1, 1) * weight
        constants = dict(
            weight=weight.reshape(before.weight.shape),
            bias=scale * before.bias + shift)
    else:
        constants = dict(
            scale=scale * before.scale, shift=scale * before.shift + shift)
    draft.merge(before.name, affine.name, replace(before, **constants))
