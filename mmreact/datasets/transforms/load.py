"""Load images and name the ones that cannot be read."""
from io import BytesIO

import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile as _LoadImageFromFile
from mmpretrain.registry import TRANSFORMS

from ...packed.reading import decode, in_mode


class CorruptImageError(RuntimeError):
    """An image file that cannot be decoded."""


@TRANSFORMS.register_module()
class LoadImage(_LoadImageFromFile):
    """MMCV's LoadImageFromFile, with Pillow, that stops at a corrupt image.

    Pillow decodes here, and resizes in the pipelines of this project, because
    the packed runtime uses it too: the decoders of OpenCV and Pillow differ.
    The same function reads files there and here, so that 16 bits become the
    upper 8 of them, where MMCV turns nearly all pixels white, and floats are
    refused. A corrupt or truncated file stops training with its name: skipping
    it silently would train on another data set than the one that is reported.

    Args:
        imdecode_backend (str): Defaults to 'pillow'.
        **kwargs: Of :class:`mmcv.transforms.LoadImageFromFile`.
    """

    def __init__(self, imdecode_backend: str = 'pillow', **kwargs):
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)

    def transform(self, results: dict) -> dict:
        """Add ``img`` (H, W, C) uint8 in BGR, ``img_shape``, ``ori_shape``.

        An image that was given without a path is left as it is: MMPretrain's
        inferencers load images themselves and then run the whole pipeline.

        Raises:
            CorruptImageError: With the path of the file.
        """
        if 'img' in results and 'img_path' not in results:
            return results
        try:
            return self._load(results)
        except Exception as error:
            raise CorruptImageError(
                f'Cannot read the image {results["img_path"]} '
                f'({type(error).__name__}: {error}). Replace or remove the '
                'file, then go on with --resume.') from error

    def _load(self, results: dict) -> dict:
        mode = dict(color='RGB', grayscale='L').get(self.color_type)
        if mode is None or self.imdecode_backend != 'pillow':
            return super().transform(results)
        data = fileio.get(results['img_path'], backend_args=self.backend_args)
        # Colour first, as in MMCV.
        pixels = np.array(in_mode(in_mode(decode(BytesIO(data)), 'RGB'), mode))
        if mode == 'RGB':
            pixels = pixels[:, :, ::-1]
        if self.to_float32:
            pixels = pixels.astype(np.float32)
        results['img'] = pixels
        results['img_shape'] = results['ori_shape'] = pixels.shape[:2]
        return results
