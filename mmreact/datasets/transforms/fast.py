"""The pixels of LoadImage and RandomResizedCrop with Pillow, in less time.

What docs/training.md says about data is measured with benchmarks/data.py.
"""
import io
from typing import Optional

import mmcv
import mmengine.fileio as fileio
import numpy as np
import torch
from mmpretrain.datasets.transforms import \
    RandomResizedCrop as _RandomResizedCrop
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from .load import LoadImage

#: The marker that ends a JPEG file.
END_OF_IMAGE = b'\xff\xd9'


def is_plain_jpeg(data: bytes) -> bool:
    """Whether OpenCV decodes a file to the pixels that Pillow does.

    It does for whole JPEG files in colour or in grey, EXIF orientation
    included: both use libjpeg-turbo. They convert CMYK differently, and older
    OpenCV returns a truncated image without an error.
    """
    if not data.endswith(END_OF_IMAGE):
        return False
    with Image.open(io.BytesIO(data)) as image:  # reads the header only
        return image.format == 'JPEG' and image.mode in ('RGB', 'L')


@TRANSFORMS.register_module()
class FastLoadImage(LoadImage):
    """:class:`LoadImage` whose plain JPEG files OpenCV decodes.

    All other files, and what cannot be read, are left to Pillow: pixels and
    errors are those of :class:`LoadImage`.

    Args:
        backend_args (dict, optional): Of :func:`mmengine.fileio.get`.
    """

    def __init__(self, backend_args: Optional[dict] = None):
        super().__init__(backend_args=backend_args)

    def transform(self, results: dict) -> dict:
        """As :meth:`LoadImage.transform`."""
        image = self._decode(results.get('img_path'))
        if image is None:
            return super().transform(results)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _decode(self, path: Optional[str]) -> Optional[np.ndarray]:
        """The image, or None where Pillow is to try, or to say why not."""
        try:
            data = fileio.get(path, backend_args=self.backend_args)
            if is_plain_jpeg(data):
                return mmcv.imfrombytes(data, backend='cv2')
        except Exception:
            pass
        return None


@TRANSFORMS.register_module()
class FastRandomResizedCrop(_RandomResizedCrop):
    """``RandomResizedCrop(backend='pillow')`` that torch resizes.

    Crops and random draws are MMPretrain's. Both filters are bilinear with
    antialiasing and differ in their roundings: by one grey level in some
    values, rarely by two. Torch is faster on x86 processors with AVX2, and
    slower than Pillow without. Bicubic filters are refused: Pillow's and
    torch's differ by more than rounding where they overshoot.

    Args:
        scale (sequence | int): Height and width of the result, or both.
        backend (str): Whose pixels to compute: 'pillow', nothing else.
        interpolation (str): 'bilinear', nothing else.
        **kwargs: Of ``mmpretrain.datasets.RandomResizedCrop``.

    Raises:
        ValueError: For another backend or interpolation.
    """

    def __init__(self,
                 scale,
                 backend: str = 'pillow',
                 interpolation: str = 'bilinear',
                 **kwargs):
        if (backend, interpolation) != ('pillow', 'bilinear'):
            raise ValueError(
                "FastRandomResizedCrop computes what backend='pillow' does "
                f"with interpolation='bilinear', got {backend!r} and "
                f'{interpolation!r}. Use RandomResizedCrop for these.')
        super().__init__(
            scale, backend=backend, interpolation=interpolation, **kwargs)

    def transform(self, results: dict) -> dict:
        """Replace ``img`` (H, W, C) uint8 and ``img_shape``.

        Raises:
            ValueError: If ``img`` is something else.
        """
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                'FastRandomResizedCrop needs an image (H, W, C) of uint8, got '
                f'{image.shape} of {image.dtype}.')
        top, left, height, width = self.rand_crop_params(image)
        crop = image[top:top + height, left:left + width]
        results['img'] = resize(crop, self.scale)
        results['img_shape'] = results['img'].shape
        return results


def resize(image: np.ndarray, size) -> np.ndarray:
    """Bilinear, with antialiasing.

    Args:
        image (np.ndarray): ``(H, W, C)``, uint8.
        size (sequence): Height and width of the result.
    """
    # Torch takes neither Pillow's images, which are read backwards for BGR,
    # nor read-only ones.
    image = np.require(image, requirements=['C', 'W'])
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None],
        size=tuple(size),
        mode='bilinear',
        antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
