"""From images to a network's input: the test pipelines of MMPretrain.

The same pixels as LoadImage, ResizeEdge(backend='pillow'), CenterCrop and
padding give, and the same float32 numbers as ClsDataPreprocessor.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

import numpy as np
from PIL import Image, ImageOps

from .ops import MAX_PADDING

#: Order of a network's input channels -> indices into RGB.
CHANNELS = dict(rgb=(0, 1, 2), bgr=(2, 1, 0), gray=(0, ))
#: What a pixel that is grey and transparent stands on when MMCV loads it.
GREY_ALPHA_BACKGROUND = (124, 117, 104)
MAX_SIZE = 1 << 14


def read_image(path: Union[str, Path]) -> np.ndarray:
    """Read an image file as training does.

    Rotated as its EXIF data say; grey, CMYK, palette and 16-bit images are
    converted to RGB by Pillow.

    Returns:
        ndarray: ``(H, W, 3)`` uint8, RGB.

    Raises:
        ValueError: With the path, if it is missing or no whole image.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode == 'LA':
                grey, alpha = image.split()
                image = Image.new('RGB', image.size, GREY_ALPHA_BACKGROUND)
                image.paste(grey.convert('RGB'), mask=alpha)
            return np.array(image.convert('RGB'))
    except Exception as error:
        raise ValueError(f'Cannot read the image {path} '
                         f'({type(error).__name__}: {error}).') from error


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize, centre crop, pad, then normalise.

    Args:
        resize_short (int, optional): Length of the shorter edge after bilinear
            resizing (with antialiasing, by Pillow); the longer one is
            ``int(resize_short * long / short)``.
        crop (tuple[int, int], optional): Height and width of the centre that
            is kept. An image that is smaller is left as it is.
        pad (tuple[int]): Pixels of value 0 on the left, top, right, bottom.
        mean (tuple[float]): For each channel of the network's input, of
            pixels from 0 to 255.
        std (tuple[float]): As ``mean``: ``(pixel - mean) / std`` in float32.
        channels (str): Order of the network's input: 'rgb', 'bgr' or 'gray'.

    Raises:
        ValueError: If a value cannot be meant.
    """
    resize_short: Optional[int] = None
    crop: Optional[Tuple[int, int]] = None
    pad: Tuple[int, int, int, int] = (0, 0, 0, 0)
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    channels: str = 'rgb'

    def __post_init__(self):
        if self.channels not in tuple(CHANNELS):
            raise ValueError(f'channels is {self.channels!r}, not one of '
                             f'{", ".join(CHANNELS)}.')
        number = len(CHANNELS[self.channels])
        short = (self.resize_short, )
        for name, good in dict(
                resize_short=short == (None, ) or _ints(short, 1, 1, MAX_SIZE),
                crop=self.crop is None or _ints(self.crop, 2, 1, MAX_SIZE),
                pad=_ints(self.pad, 4, 0, MAX_PADDING),
                mean=_floats(self.mean, number, -1e6, 1e6),
                std=_floats(self.std, number, 1e-6, 1e6)).items():
            if not good:
                raise ValueError(f'{name} of the preprocessing is '
                                 f'{getattr(self, name)!r}.')

    def __call__(
            self, images: Union[np.ndarray,
                                Sequence[np.ndarray]]) -> np.ndarray:
        """Prepare images for a network.

        Args:
            images (ndarray | Sequence[ndarray]): An image, an array
                ``(N, H, W, C)`` of images, or a list of images of any sizes;
                see :meth:`pixels`.

        Returns:
            ndarray: ``(N, C, H, W)`` float32.

        Raises:
            ValueError: If there are none, or they do not have one size in the
                end.
        """
        if isinstance(images, np.ndarray) and images.ndim != 4:
            images = [images]
        pixels = [self.pixels(image) for image in images]
        if not pixels:
            raise ValueError('There are no images.')
        shapes = sorted({image.shape[:2] for image in pixels})
        if len(shapes) > 1:
            raise ValueError('The preprocessing leaves images of different '
                             f'sizes: {shapes}. Give them one at a time.')
        mean, std = (
            np.array(v, np.float32)[:, None, None]
            for v in (self.mean, self.std))
        result = np.empty((len(pixels), len(mean), *shapes[0]), np.float32)
        for image, out in zip(pixels, result):
            np.subtract(image.transpose(2, 0, 1), mean, out=out)
            out /= std
        return result

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """All but the normalisation.

        Args:
            image (ndarray): ``(H, W, 3)`` RGB, or ``(H, W)`` or ``(H, W, 1)``
                grey; uint8. Grey is made RGB, and RGB grey (ITU-R 601), where
                the network takes the other.

        Returns:
            ndarray: ``(H', W', C)`` uint8, channels as the network takes them.
        """
        picture = self._convert(image)
        if self.resize_short is not None:
            picture = picture.resize(
                _resized(*picture.size, self.resize_short),
                Image.Resampling.BILINEAR)
        pixels = np.asarray(picture)
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        if self.crop is not None:
            pixels = pixels[tuple(map(_centre, pixels.shape, self.crop))]
        left, top, right, bottom = self.pad
        pixels = np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
        return pixels[:, :, CHANNELS[self.channels]]

    @property
    def output_size(self) -> Optional[Tuple[int, int]]:
        """Height and width of the result, if the crop settles them."""
        if self.crop is None:
            return None
        left, top, right, bottom = self.pad
        return self.crop[0] + top + bottom, self.crop[1] + left + right

    def _convert(self, image: np.ndarray) -> Image.Image:
        """An image of Pillow, RGB or grey."""
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            kind = getattr(image, 'dtype', type(image).__name__)
            raise ValueError(f'An image must be a uint8 array, not {kind}.')
        grey = image.ndim == 2 or image.shape[2:] == (1, )
        if image.size == 0 or not (grey or image.shape[2:] == (3, )):
            raise ValueError('An image must be (H, W, 3) RGB or (H, W) or '
                             f'(H, W, 1) grey, not {image.shape}. Arrays of '
                             'images are (N, H, W, C).')
        if grey:
            image = image.reshape(image.shape[:2])
        mode = 'L' if self.channels == 'gray' else 'RGB'
        return Image.fromarray(np.ascontiguousarray(image)).convert(mode)


def _resized(width: int, height: int, short: int) -> Tuple[int, int]:
    """Width and height with a shorter edge of ``short``."""
    if width < height:
        return short, int(short * height / width)
    return int(short * width / height), short


def _centre(length: int, kept: int) -> slice:
    """The middle of an edge; half a pixel is rounded to the even number."""
    kept = min(length, kept)
    start = round((length - kept) / 2)
    return slice(start, start + kept)


def _ints(values, number: int, low: int, high: int) -> bool:
    return (isinstance(values, tuple) and len(values) == number
            and all(type(v) is int and low <= v <= high for v in values))


def _floats(values, number: int, low: float, high: float) -> bool:
    return (isinstance(values, tuple) and len(values) == number and all(
        type(v) in (int, float) and low <= v <= high for v in values))
