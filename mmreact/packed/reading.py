"""From what a user has of an image to its pixels of 8 bits.

Training reads its files here, too (mmreact/datasets/transforms/load.py).
"""
import io
import os
import reprlib
from pathlib import Path
from typing import IO, Any, Union

import numpy as np
from PIL import Image, ImageOps

#: What a pixel that is grey and transparent stands on when MMCV loads it.
GREY_ALPHA_BACKGROUND = (124, 117, 104)
#: Decoders of image files.
DECODERS = ('pillow', 'opencv')
#: Images with more pixels are not decoded; Pillow warns above this number.
MAX_PIXELS = 89_478_485
ORIENTATION = 0x0112  # EXIF
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # TIFF

AnyImage = Union[str, Path, bytes, bytearray, memoryview, IO[bytes],
                 Image.Image, np.ndarray]


class ImageError(ValueError):
    """An image that cannot be read: which, and why."""


def read_image(source: AnyImage, decoder: str = 'pillow') -> np.ndarray:
    """Read an image as training does.

    Returns:
        ndarray: ``(H, W, 3)`` uint8, RGB.

    Raises:
        ImageError: As :func:`open_image`.
    """
    return np.array(in_mode(open_image(source, decoder), 'RGB'))


def open_image(source: AnyImage, decoder: str = 'pillow') -> Image.Image:
    """Read an image as training does, grey if it is.

    Rotated as its EXIF data say. CMYK, palettes and other kinds of colour
    become RGB, transparency is dropped as by MMCV, and 16 bits become the
    upper 8 of them. Numbers without a fixed range (float, 32-bit integers)
    are refused.

    Args:
        source (AnyImage): The path of a file, its bytes, a file that is open
            for reading bytes, an image of Pillow, or an array: uint8
            ``(H, W, 3)`` RGB, ``(H, W)`` or ``(H, W, 1)`` grey.
        decoder (str): What decodes files: 'pillow' or 'opencv'.

    Returns:
        Image: Of mode 'RGB' or 'L'.

    Raises:
        ImageError: With the path, if it is missing, no whole image, too large
            or of a kind that has no 8-bit values.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    try:
        if isinstance(source, Image.Image):
            return _upright(source)
        return decode(_file(source), decoder)
    except Exception as error:
        reason = str(error).rstrip('.')
        raise ImageError(f'Cannot read the image {_name(source)} '
                         f'({type(error).__name__}: {reason}).') from error


def decode(file: Union[str, Path, IO[bytes]],
           decoder: str = 'pillow') -> Image.Image:
    """Decode an image file; see :func:`open_image`.

    Raises:
        Exception: Of many kinds, Pillow's own among them.
    """
    with Image.open(file) as image:
        _check_size(image)
        if decoder == 'opencv':
            _shift(image)  # refuses what has no 8-bit values
            return _decode_opencv(file)
        return _upright(image)


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """An image of this mode, which is itself if it has it."""
    return image if image.mode == mode else image.convert(mode)


def is_one(images: Any) -> bool:
    """Whether this is one image, and not several."""
    if isinstance(images, np.ndarray):
        return images.ndim != 4
    return isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview,
                               Image.Image)) or hasattr(images, 'read')


def _name(source: AnyImage) -> str:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f'of {len(source)} bytes'
    if isinstance(source, Image.Image):
        return getattr(source, 'filename', '') or f'of mode {source.mode}'
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(getattr(source, 'name', reprlib.repr(source)))


def _file(source: AnyImage) -> Union[Path, IO[bytes]]:
    """What Pillow opens."""
    if isinstance(source, (str, os.PathLike)):
        return Path(source)
    if hasattr(source, 'read'):
        source = source.read()
    if not isinstance(source, (bytes, bytearray, memoryview)):
        raise TypeError('an image is a path, the bytes of a file, a file open '
                        'for bytes, an image of Pillow or an array, not '
                        f'{type(source).__name__}')
    return io.BytesIO(source)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8:
        raise ImageError(f'An image must be a uint8 array, not {array.dtype}.')
    grey = array.ndim == 2 or array.shape[2:] == (1, )
    if array.size == 0 or not (grey or array.shape[2:] == (3, )):
        raise ImageError('An image must be (H, W, 3) RGB or (H, W) or '
                         f'(H, W, 1) grey, not {array.shape}. Arrays of '
                         'images are (N, H, W, C).')
    if grey:
        array = array.reshape(array.shape[:2])
    return Image.fromarray(np.ascontiguousarray(array))


def _check_size(image: Image.Image) -> None:
    pixels = image.width * image.height
    if not pixels:
        raise ValueError(f'it has {image.width}x{image.height} pixels, so '
                         'there is nothing to see')
    if pixels > MAX_PIXELS:
        raise ValueError(f'it has {image.width}x{image.height} pixels; at '
                         f'most {MAX_PIXELS:,} are decoded. Make it smaller')


def _upright(image: Image.Image) -> Image.Image:
    """The image as it is to be looked at, 'RGB' or 'L'."""
    _check_size(image)
    turned = image.getexif().get(ORIENTATION, 1)
    exif = image.getexif() if turned in range(2, 9) else None
    image = _to_8_bits(image)
    if exif is not None:
        image.getexif()[ORIENTATION] = turned
        image = ImageOps.exif_transpose(image)
    return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    shift = _shift(image)
    if shift:
        return _upper_bits(image, shift)
    if image.mode == 'LA':
        grey, alpha = image.split()
        result = Image.new('RGB', image.size, GREY_ALPHA_BACKGROUND)
        result.paste(grey.convert('RGB'), mask=alpha)
        return result
    if image.mode in ('L', 'RGB'):
        image.load()
        return image
    return image.convert('L' if image.mode == '1' else 'RGB')


def _shift(image: Image.Image) -> int:
    """How many of the lower bits of each value are dropped.

    Raises:
        ValueError: If the values have no fixed range.
    """
    if image.mode.startswith('I;16'):
        return 4 if _tiff(image, BITS_PER_SAMPLE) == (12, ) else 8
    if image.mode == 'I' and image.format in ('PPM', 'PNG'):
        return 8  # Pillow reads their 16 bits so
    if image.mode in ('I', 'F'):
        kind = 'floats' if image.mode == 'F' else '32-bit integers'
        raise ValueError(f'its values are {kind}, which have no fixed range '
                         'between black and white. Convert it to 8 or 16 '
                         'bits, by a scale that you know')
    return 0


def _upper_bits(image: Image.Image, shift: int) -> Image.Image:
    values = (np.asarray(image) >> shift).astype(np.uint8)
    if _tiff(image, PHOTOMETRIC) == 0:  # Pillow leaves white at 0
        values = 255 - values
    return Image.fromarray(values)


def _tiff(image: Image.Image, tag: int) -> Any:
    return getattr(image, 'tag_v2', {}).get(tag)


def _decode_opencv(file: Union[str, Path, IO[bytes]]) -> Image.Image:
    cv2 = import_opencv()
    if isinstance(file, (str, Path)):
        data = Path(file).read_bytes()
    else:
        file.seek(0)
        data = file.read()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError('OpenCV cannot decode it')
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels))


def import_opencv():
    """The module cv2.

    Raises:
        ImageError: If it is not installed; says how to install it.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImageError(
            'The images of this network are decoded or resized with OpenCV, '
            f'which is not there ({error}). Install it: pip install '
            '"mmreact[opencv]".') from error
    return cv2
