"""MMPretrain's inferencer for networks that take grey images."""
import functools
from typing import Callable

import numpy as np
from mmengine.config import Config
from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.datasets import PackInputs

from ..export import LoweringError
from .test_images import image_preprocessing, input_channels


def grey_pipeline(cfg: Config) -> Callable[[dict], dict]:
    """What prepares a loaded image for a network of one channel.

    It makes what a packed file makes of an image: grey, and of the size that
    the network was trained on.

    Raises:
        ValueError: If the config's test pipeline has parts that packed files
            do not know.
    """
    try:
        prepare = image_preprocessing(cfg)
    except LoweringError as error:
        raise ValueError(
            'An inferencer cannot prepare images for this network, which '
            f'takes one channel: {error} Call the model with images that are '
            'prepared instead.') from error
    pack = PackInputs()

    def pipeline(results: dict) -> dict:
        image = np.asarray(results['img'])
        if image.ndim == 3 and image.shape[2] == 3:
            image = image[:, :, ::-1]  # MMPretrain reads BGR
        return pack(dict(results, img=prepare.pixels(image)))

    return pipeline


@functools.lru_cache(maxsize=None)
def apply() -> None:
    """Let ``ImageClassificationInferencer`` take networks of one channel.

    It reads all images in colour, of which such networks make an error, and
    leaves them to a pipeline that was made for a data set's own size. Networks
    of three channels are prepared as before.
    """
    init_pipeline = ImageClassificationInferencer._init_pipeline

    def init_any_pipeline(self, cfg):
        if input_channels(cfg) == 1:
            return grey_pipeline(cfg)
        return init_pipeline(self, cfg)

    ImageClassificationInferencer._init_pipeline = init_any_pipeline


apply()
