"""Transforms, in ``mmpretrain.registry``."""
from ... import compat  # noqa: F401, isort: skip
from .load import CorruptImageError, LoadImage
from .seed import SeedAugmentation

__all__ = ['CorruptImageError', 'LoadImage', 'SeedAugmentation']
