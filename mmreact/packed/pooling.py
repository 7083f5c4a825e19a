"""The geometry of poolings for engines whose own rounding rules differ."""
from typing import Iterator, List, Union

import numpy as np

from .ops import AvgPool2d, MaxPool2d, Pair

Pool = Union[AvgPool2d, MaxPool2d]


def end_padding(op: Pool, size: Pair, out: Pair) -> List[int]:
    """Padding below and on the right that gives the size ``out``.

    It is exact for engines that round sizes down, whatever the pooling's own
    ``ceil_mode`` is.
    """
    dilation = getattr(op, 'dilation', (1, 1))
    return [
        max(0,
            (o - 1) * s + d * (k - 1) + 1 - n - p) for n, o, k, s, p, d in zip(
                size, out, op.kernel, op.stride, op.padding, dilation)
    ]


def shares(op: AvgPool2d, size: Pair, out: Pair) -> Iterator[np.ndarray]:
    """Turn means over the pixels in the image into the means that are asked.

    Yields:
        ndarray: For the rows ``(Hout, )`` and for the columns ``(Wout, )``,
        by what the means must be multiplied: with ``count_include_pad`` the
        share of the taps in image or padding that are in the image, else 1.
    """
    for n, o, k, s, p in zip(size, out, op.kernel, op.stride, op.padding):
        start = np.arange(o) * s
        stop = start + k
        taps = np.minimum(stop, n + 2 * p) - start
        inside = np.minimum(stop, n + p) - np.maximum(start, p)
        yield inside / taps if op.count_include_pad else np.ones(o)
