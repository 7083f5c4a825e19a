"""The contracts of :mod:`..ops` in plain numpy, a file for each theme."""
from . import (activations, convolutions, elementwise, layout, normalizations,
               pooling, resampling)
from .table import FUNCTIONS

__all__ = [
    'FUNCTIONS', 'activations', 'convolutions', 'elementwise', 'layout',
    'normalizations', 'pooling', 'resampling'
]
