"""Resizing as MMPretrain's transforms do it, of the part that is kept."""
from dataclasses import dataclass
from typing import Optional, Tuple, Union

import numpy as np
from PIL import Image

from .reading import import_opencv
from .resampling import KERNELS, resize_region

#: Modes whose size is the length of an edge ...
EDGE_MODES = ('short', 'long', 'width', 'height')
#: ... and those whose size is a height and a width.
BOX_MODES = ('fit', 'cover', 'stretch', 'object')
#: Library -> its filters, as MMCV names them.
FILTERS = dict(
    pillow=('nearest', 'bilinear', 'bicubic', 'box', 'hamming', 'lanczos'),
    opencv=('nearest', 'bilinear', 'bicubic', 'area', 'lanczos'))
MAX_EDGE = 1 << 14
#: No image is enlarged to more pixels than this.
MAX_ENLARGED = 1 << 24
#: Pixels up to this are the ground that objects are cut out of: 5 % of 255.
GROUND = 12

#: Width and height.
Size = Tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Resize:
    """Resize an image.

    Args:
        mode (str): What gets the ``size``. One of

            - 'short', 'long', 'width', 'height': this edge; the ratio of the
              edges is kept, the other one is ``int(size * other / edge)``
              (MMPretrain's ResizeEdge);
            - 'fit': the ratio is kept, and the longer edge is at most the
              larger, the shorter one at most the smaller number
              (MMCV's Resize with ``keep_ratio``);
            - 'cover': the ratio is kept, height and width are at least these;
            - 'stretch': exactly these (MMCV's Resize);
            - 'object': for single objects on black ground. Rows and columns
              at the edges without a pixel above 12 are removed, what is left
              fills height or width, and black surrounds it. An image that has
              this size is left as it is.
        size (int | tuple[int]): An edge, or height and width.
        filter (str): One of :data:`FILTERS`.
        library (str): Whose pixels they are: 'pillow', which smooths what it
            makes smaller, or 'opencv', which does so with 'area' only.

    Raises:
        ValueError: If a value cannot be meant.
    """
    mode: str
    size: Union[int, Tuple[int, int]]
    filter: str = 'bilinear'
    library: str = 'pillow'

    def __post_init__(self):
        edges = self.mode in EDGE_MODES
        sizes = (self.size, ) if edges else self.size
        good = dict(
            mode=edges or self.mode in BOX_MODES,
            size=isinstance(sizes, tuple) and len(sizes) == 2 - edges
            and all(type(n) is int and 1 <= n <= MAX_EDGE for n in sizes),
            library=self.library in tuple(FILTERS),
            filter=self.filter in FILTERS.get(str(self.library), ()))
        for name, value in good.items():
            if not value:
                raise ValueError(f'{name} of the resizing is '
                                 f'{getattr(self, name)!r}.')

    @property
    def output_size(self) -> Optional[Tuple[int, int]]:
        """Height and width of the result, if they are always the same."""
        return self.size if self.mode in ('stretch', 'object') else None

    def __call__(self,
                 image: Image.Image,
                 crop: Optional[Tuple[int, int]] = None) -> Image.Image:
        """Resize an image and keep the centre of the result.

        Args:
            image (Image): Of mode 'RGB' or 'L'.
            crop (tuple[int], optional): Height and width of the centre.
                Defaults to the whole.

        Raises:
            ValueError: If the result, or what is computed on the way to it,
                would be too large for the image.
        """
        if self.mode == 'object':
            return crop_centre(self._object(image), crop)
        return self._resize(image, self.resized(image.size), crop)

    def resized(self, size: Size) -> Size:
        """Width and height of a whole image after resizing."""
        (width, height), new = size, self.size
        if self.mode == 'stretch':
            return new[1], new[0]
        if self.mode in ('fit', 'cover', 'object'):
            return self._scaled(width, height)
        if self.mode == 'width' or width != height and (self.mode == (
                'short' if width < height else 'long')):
            return new, int(new * height / width)
        return int(new * width / height), new

    def _scaled(self, width: int, height: int) -> Size:
        rows, columns = self.size
        if self.mode == 'cover':
            scale = max(rows / height, columns / width)
            return (max(columns, int(width * scale + 0.5)),
                    max(rows, int(height * scale + 0.5)))
        if self.mode == 'object':
            scale = min(rows / height, columns / width)
            return (max(1, round(width * scale)), max(1,
                                                      round(height * scale)))
        scale = min(
            max(self.size) / max(width, height),
            min(self.size) / min(width, height))
        return int(width * scale + 0.5), int(height * scale + 0.5)

    def _object(self, image: Image.Image) -> Image.Image:
        rows, columns = self.size
        if image.size == (columns, rows):
            return image
        box = image.convert('L').point(lambda v: 255 * (v > GROUND)).getbbox()
        image = image.crop(box) if box else image
        image = self._resize(image, self.resized(image.size))
        result = Image.new(image.mode, (columns, rows))
        result.paste(image, (round(
            (columns - image.width) / 2), round((rows - image.height) / 2)))
        return result

    def _resize(self,
                image: Image.Image,
                size: Size,
                crop: Optional[Tuple[int, int]] = None) -> Image.Image:
        region = centre(size, crop)
        kept = (region[2] - region[0]) * (region[3] - region[1])
        area = size[0] * size[1]
        if (self.library == 'pillow' and self.filter in KERNELS
                and area > 4 * kept and size[0] >= image.width
                and size[1] >= image.height):
            _check_work(image.size, size, kept)
            return resize_region(image, size, region, self.filter)
        # Pillow may keep the rows before it resizes the columns.
        _check_work(image.size, size, max(area, size[0] * image.height))
        return self._whole(image, size).crop(region)

    def _whole(self, image: Image.Image, size: Size) -> Image.Image:
        if self.library == 'pillow':
            return image.resize(size, Image.Resampling[self.filter.upper()])
        cv2 = import_opencv()
        code = dict(
            nearest=cv2.INTER_NEAREST,
            bilinear=cv2.INTER_LINEAR,
            bicubic=cv2.INTER_CUBIC,
            area=cv2.INTER_AREA,
            lanczos=cv2.INTER_LANCZOS4)[self.filter]
        return Image.fromarray(
            cv2.resize(np.array(image), size, interpolation=code))


def _check_work(size: Size, resized: Size, pixels: int) -> None:
    """Refuse to compute many more pixels than an image has."""
    if 0 in resized or pixels > max(size[0] * size[1], MAX_ENLARGED):
        raise ValueError(
            f'An image of {size[0]}x{size[1]} pixels would be resized to '
            f'{resized[0]}x{resized[1]}, which is not done: it is too narrow, '
            'or too small. Crop or pad it to a shape like that of the images '
            'which the network was trained on.')


def centre(size: Size, crop: Optional[Tuple[int, int]]) -> Tuple[int, ...]:
    """Left, top, right and bottom of the middle; half is rounded to even."""
    kept = size if crop is None else (min(size[0], crop[1]),
                                      min(size[1], crop[0]))
    left, top = (round((n - k) / 2) for n, k in zip(size, kept))
    return left, top, left + kept[0], top + kept[1]


def crop_centre(image: Image.Image, crop: Optional[Tuple[int,
                                                         int]]) -> Image.Image:
    """The middle of an image; one that is smaller is left as it is."""
    region = centre(image.size, crop)
    return image if region == (0, 0, *image.size) else image.crop(region)
