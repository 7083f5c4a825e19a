"""How OpenVINO computes each operation, a file for each theme."""
from . import (activations, convolutions, elementwise, layout, normalizations,
               pooling, resampling)
from .nodes import BUILDERS

__all__ = [
    'BUILDERS', 'activations', 'convolutions', 'elementwise', 'layout',
    'normalizations', 'pooling', 'resampling'
]
