"""From images to a network's input: the test pipelines of MMPretrain.

The same pixels as LoadImage, ResizeEdge, Resize, CenterCrop and padding give,
and the same float32 numbers as ClsDataPreprocessor.
"""
from dataclasses import dataclass
from typing import Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np
from PIL import Image

from .ops import MAX_PADDING
from .reading import DECODERS, AnyImage, in_mode, is_one, open_image
from .resizing import MAX_EDGE, MAX_ENLARGED, Resize, crop_centre

#: Order of a network's input channels -> indices into RGB.
CHANNELS = dict(rgb=(0, 1, 2), bgr=(2, 1, 0), gray=(0, ))

Images = Union[AnyImage, Iterable[AnyImage]]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Decode, resize, centre crop, pad, then normalise.

    Args:
        decoder (str): What decodes image files: 'pillow' or 'opencv'.
            Defaults to 'pillow'.
        resize (Resize, optional): How images are resized.
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
    decoder: str = 'pillow'
    resize: Optional[Resize] = None
    crop: Optional[Tuple[int, int]] = None
    pad: Tuple[int, int, int, int] = (0, 0, 0, 0)
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    channels: str = 'rgb'

    def __post_init__(self):
        for name, known in dict(decoder=DECODERS, channels=CHANNELS).items():
            if getattr(self, name) not in tuple(known):
                raise ValueError(f'{name} is {getattr(self, name)!r}, not one '
                                 f'of {", ".join(known)}.')
        number = len(CHANNELS[self.channels])
        for name, good in dict(
                resize=self.resize is None or isinstance(self.resize, Resize),
                crop=self.crop is None or _ints(self.crop, 2, 1, MAX_EDGE),
                pad=_ints(self.pad, 4, 0, MAX_PADDING),
                mean=_floats(self.mean, number, -1e6, 1e6),
                std=_floats(self.std, number, 1e-6, 1e6)).items():
            if not good:
                raise ValueError(f'{name} of the preprocessing is '
                                 f'{getattr(self, name)!r}.')

    def __call__(self, images: Images) -> np.ndarray:
        """Prepare images for a network.

        Args:
            images (Images): An image (see :func:`open_image`), an array
                ``(N, H, W, C)`` of images, or several images of any kinds and
                sizes.

        Returns:
            ndarray: ``(N, C, H, W)`` float32.

        Raises:
            ValueError: If there are none, one cannot be read, or they do not
                have one size in the end.
        """
        batches = list(self.batches(images))
        shapes = sorted({batch.shape[2:] for batch in batches})
        if len(shapes) > 1:
            raise ValueError('The preprocessing leaves images of different '
                             f'sizes: {shapes}. Give them one at a time.')
        return batches[0] if len(batches) == 1 else np.concatenate(batches)

    def batches(self,
                images: Images,
                number: Optional[int] = None) -> Iterator[np.ndarray]:
        """Prepare images a few at a time; the others are not opened yet.

        Args:
            images (Images): As for :meth:`__call__`.
            number (int, optional): How many images a batch has at most.

        Yields:
            ndarray: ``(N, C, H, W)`` float32; images of other sizes follow in
            a batch of their own.
        """
        pixels: List[np.ndarray] = []
        for made in self._each(images):
            if pixels and (len(pixels) == number
                           or made.shape != pixels[0].shape):
                yield self._normalise(pixels)
                pixels = []
            pixels.append(made)
        if not pixels:
            raise ValueError('There are no images.')
        yield self._normalise(pixels)

    def _each(self, images: Images) -> Iterator[np.ndarray]:
        """The pixels of one image after the other; a bad one has its number.
        """
        if is_one(images):
            yield self.pixels(images)
            return
        for i, image in enumerate(_several(images)):
            try:
                yield self.pixels(image)
            except ValueError as error:
                raise type(error)(f'Image {i}: {error}') from error

    def pixels(self, image: AnyImage) -> np.ndarray:
        """All but the normalisation.

        Args:
            image (AnyImage): See :func:`open_image`. Grey is made RGB, and
                RGB grey (ITU-R 601), where the network takes the other.

        Returns:
            ndarray: ``(H', W', C)`` uint8, channels as the network takes them.

        Raises:
            ValueError: If it cannot be read or resized.
        """
        pixels = np.asarray(self._resize(open_image(image, self.decoder)))
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        left, top, right, bottom = self.pad
        pixels = np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
        return pixels[:, :, CHANNELS[self.channels]]

    @property
    def output_size(self) -> Optional[Tuple[int, int]]:
        """Height and width of the result, if they are settled."""
        size = self.crop
        if self.resize is not None and self.resize.output_size:
            size = self.resize.output_size
            if self.crop is not None:
                size = min(size[0], self.crop[0]), min(size[1], self.crop[1])
        if size is None:
            return None
        left, top, right, bottom = self.pad
        return size[0] + top + bottom, size[1] + left + right

    def _resize(self, image: Image.Image) -> Image.Image:
        mode = 'L' if self.channels == 'gray' else 'RGB'
        # Grey is resized as such by Pillow, in a third of the time.
        if mode == 'L' or self.resize and self.resize.library == 'opencv':
            image = in_mode(image, mode)
        if self.resize is not None:
            image = self.resize(image, self.crop)
        else:
            image = crop_centre(image, self.crop)
            if image.width * image.height > MAX_ENLARGED:
                raise ValueError(
                    f'The image has {image.width}x{image.height} pixels, '
                    f'which this network takes as they are; it takes at most '
                    f'{MAX_ENLARGED:,}. Make it smaller.')
        return in_mode(image, mode)

    def _normalise(self, pixels: List[np.ndarray]) -> np.ndarray:
        mean, std = (
            np.array(v, np.float32)[:, None, None]
            for v in (self.mean, self.std))
        result = np.empty((len(pixels), len(mean), *pixels[0].shape[:2]),
                          np.float32)
        for image, out in zip(pixels, result):
            np.subtract(image.transpose(2, 0, 1), mean, out=out)
            out /= std
        return result


def _several(images: Iterable[AnyImage]) -> Iterable[AnyImage]:
    try:
        return iter(images)
    except TypeError:
        raise ValueError(
            'Images are paths, bytes, open files, images of Pillow, uint8 '
            f'arrays, or several of them, not {type(images).__name__}.'
        ) from None


def _ints(values, number: int, low: int, high: int) -> bool:
    return (isinstance(values, tuple) and len(values) == number
            and all(type(v) is int and low <= v <= high for v in values))


def _floats(values, number: int, low: float, high: float) -> bool:
    return (isinstance(values, tuple) and len(values) == number and all(
        type(v) in (int, float) and low <= v <= high for v in values))
