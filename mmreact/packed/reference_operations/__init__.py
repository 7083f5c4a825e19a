"""The contracts of :mod:`..ops` in plain numpy, a file for each theme."""
from . import convolutions, elementwise, layout, pooling  # noqa: F401, rows
from .table import FUNCTIONS

__all__ = ['FUNCTIONS']
