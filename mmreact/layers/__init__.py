"""Layers of 1-bit networks: thin modules over :mod:`mmreact.functional`."""
from .binarize import BinarizedLayer, BinarizeReport, binarize
from .binary import BinaryConv2d, BinaryLinear
from .rprelu import RPReLU
from .rsign import RSign

__all__ = [
    'BinarizeReport', 'BinarizedLayer', 'BinaryConv2d', 'BinaryLinear',
    'RPReLU', 'RSign', 'binarize'
]
