"""Transforms, in ``mmpretrain.registry``."""
from ... import compat  # noqa: F401, isort: skip
from .fast import FastLoadImage, FastRandomResizedCrop
from .load import CorruptImageError, LoadImage
from .seed import SeedAugmentation

__all__ = [
    'CorruptImageError', 'FastLoadImage', 'FastRandomResizedCrop', 'LoadImage',
    'SeedAugmentation'
]
