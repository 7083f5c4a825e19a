"""Poolings, window by window."""
import numpy as np

from .. import ops
from .table import implements


def _windows(op, x, fill):
    """Yield ``(i, j, window, taps)`` of a pooling.

    The window lies in the image padded with ``fill``; ``taps`` is how many of
    its taps lie in image or padding.
    """
    (ph, pw), (sh, sw), (kh, kw) = op.padding, op.stride, op.kernel
    dh, dw = getattr(op, 'dilation', (1, 1))
    n, c, h, w = x.shape
    _, _, rows, cols = op.infer(ops.Value('real', x.shape)).shape
    # Rounded up, the last window may reach behind the padding.
    room = [(rows - 1) * sh + dh * (kh - 1) + 1,
            (cols - 1) * sw + dw * (kw - 1) + 1]
    padded = np.full(
        (n, c, max(room[0], h + 2 * ph), max(room[1], w + 2 * pw)), fill,
        np.float64)
    padded[:, :, ph:ph + h, pw:pw + w] = x
    for i, j in np.ndindex(rows, cols):
        top, left = i * sh, j * sw
        window = padded[:, :, top:top + dh * (kh - 1) + 1:dh,
                        left:left + dw * (kw - 1) + 1:dw]
        taps = (min(top + kh, h + 2 * ph) - top) * (
            min(left + kw, w + 2 * pw) - left)
        yield i, j, window, taps


@implements(ops.AvgPool2d)
def avg_pool2d(op, x):
    y = np.empty(op.infer(ops.Value('real', x.shape)).shape)
    inside = np.ones_like(x[:1, :1], np.float64)
    counts = [w.sum() for _, _, w, _ in _windows(op, inside, 0.)]
    for (i, j, window, taps), count in zip(_windows(op, x, 0.), counts):
        divisor = taps if op.count_include_pad else count
        y[:, :, i, j] = window.sum((2, 3)) / divisor
    return y


@implements(ops.MaxPool2d)
def max_pool2d(op, x):
    y = np.empty(op.infer(ops.Value('real', x.shape)).shape)
    for i, j, window, _ in _windows(op, x, -np.inf):
        y[:, :, i, j] = window.max((2, 3))
    return y


@implements(ops.AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op, x):
    y = np.empty((*x.shape[:2], *op.size))
    for i, j, window in _adaptive_windows(op, x):
        y[:, :, i, j] = window.mean((2, 3), dtype=np.float64)
    return y


@implements(ops.AdaptiveMaxPool2d)
def adaptive_max_pool2d(op, x):
    y = np.empty((*x.shape[:2], *op.size))
    for i, j, window in _adaptive_windows(op, x):
        y[:, :, i, j] = window.max((2, 3))
    return y


def _adaptive_windows(op, x):
    (rows, cols), (h, w) = op.size, x.shape[2:]
    for i, j in np.ndindex(rows, cols):
        yield i, j, x[:, :, i * h // rows:-(-(i + 1) * h // rows),
                      j * w // cols:-(-(j + 1) * w // cols)]


@implements(ops.ChannelMean)
def channel_mean(op, x):
    return x.mean(1, keepdims=True, dtype=np.float64)
