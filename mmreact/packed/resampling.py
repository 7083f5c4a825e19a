"""Part of an image that is resized, with the pixels of Pillow's ``resize``.

Pillow resizes an image as a whole, or a box of it whose corners are float32,
which moves pixels by a rounding. A long and narrow image whose centre is
kept would need memory for all of it. Here a region is computed with Pillow's
arithmetic: weights in float64, rounded to 22 fractional bits, sums of rows
rounded to 8 bits, then those of columns.
"""
import math
from typing import Callable, Dict, Tuple

import numpy as np
from PIL import Image

#: Fractional bits of a weight.
BITS = 22
# Those of the C library, whose last bits are not those of numpy.
_sin = np.vectorize(math.sin, [float])
_cos = np.vectorize(math.cos, [float])


def _bilinear(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - x, 0)


def _bicubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution with a = -0.5."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _hamming(x: np.ndarray) -> np.ndarray:
    t = x * np.pi
    window = float(np.float32(0.54)) + float(np.float32(0.46)) * _cos(t)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(x == 0, 1, np.where(x < 1, _sin(t) / t * window, 0))


def _sinc(x: np.ndarray) -> np.ndarray:
    t = x * np.pi
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(x == 0, 1, _sin(t) / t)


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(x < 3, _sinc(x) * _sinc(x / 3), 0)


#: Filter -> its half width, and its value at a distance (not negative). Box,
#: which jumps, is given its signed distance.
KERNELS: Dict[str, Tuple[float, Callable]] = dict(
    box=(0.5, lambda x: ((-0.5 < x) & (x <= 0.5)).astype(float)),
    bilinear=(1., lambda x: _bilinear(abs(x))),
    hamming=(1., lambda x: _hamming(abs(x))),
    bicubic=(2., lambda x: _bicubic(abs(x))),
    lanczos=(3., lambda x: _lanczos(abs(x))))


def resize_region(image: Image.Image, size: Tuple[int, int],
                  region: Tuple[int, ...], filter: str) -> Image.Image:
    """Resize an image and keep a region, computing no more than it.

    Args:
        image (Image): Of mode 'RGB' or 'L'.
        size (tuple[int]): Width and height of the whole after resizing.
        region (tuple[int]): Left, top, right and bottom of what is kept.
        filter (str): A key of :data:`KERNELS`.
    """
    left, top, right, bottom = region
    x0, columns = weights(image.width, size[0], left, right, filter)
    y0, rows = weights(image.height, size[1], top, bottom, filter)
    box = (x0, y0, x0 + columns.shape[1], y0 + rows.shape[1])
    pixels = np.atleast_3d(np.asarray(image.crop(box)))
    pixels = _combine(columns, pixels.transpose(1, 0, 2)).transpose(1, 0, 2)
    pixels = _combine(rows, pixels)
    return Image.fromarray(pixels[:, :, 0] if image.mode == 'L' else pixels)


def weights(length: int, resized: int, first: int, last: int,
            filter: str) -> Tuple[int, np.ndarray]:
    """The weights that pixels of an edge have in pixels of the result.

    Args:
        length (int): Of the edge.
        resized (int): Length of the edge after resizing.
        first, last (int): The pixels of the result, without the last.
        filter (str): A key of :data:`KERNELS`.

    Returns:
        tuple: The first pixel that counts, and ``(last - first, n)`` integers
        in float64: weights of ``n`` pixels from it, times ``2^22``.
    """
    half, kernel = KERNELS[filter]
    scale = length / resized
    stretch = max(scale, 1.)
    centers = (np.arange(first, last) + 0.5) * scale
    begin = np.trunc(np.maximum(centers - half * stretch + 0.5, 0))
    end = np.minimum(np.trunc(centers + half * stretch + 0.5), length)
    source = np.arange(int(begin[0]), int(end[-1]))
    inside = (source >= begin[:, None]) & (source < end[:, None])
    offsets = source - begin[:, None]
    x = (offsets + begin[:, None] - centers[:, None] + 0.5) * (1 / stretch)
    values = np.where(inside, kernel(x), 0.)
    # One after the other, as Pillow adds them.
    total = np.add.accumulate(values, 1)[:, -1:]
    values = np.where(total != 0, values * (1 / np.where(total, total, 1)),
                      values)
    scaled = values * (1 << BITS)
    return int(begin[0]), np.trunc(scaled + np.copysign(0.5, scaled))


def _combine(matrix: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Weighted sums along the first dimension, ``(n, ., C)`` uint8."""
    flat = pixels.reshape(len(pixels), -1).astype(float)
    sums = np.floor((matrix @ flat + (1 << BITS - 1)) / (1 << BITS))
    result = sums.clip(0, 255).astype(np.uint8)
    return result.reshape(len(matrix), *pixels.shape[1:])
