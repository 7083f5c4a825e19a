"""1-bit convolutional networks for MMPretrain.

Importing this package is cheap: torch and OpenMMLab are imported only with
the name that needs them (PEP 562).
"""
import importlib

from .version import __version__

_LAZY = dict(
    BinaryConv2d='.layers',
    BinaryLinear='.layers',
    RPReLU='.layers',
    RSign='.layers',
    binarize='.layers',
    count_ops='.analysis')

__all__ = ['__version__', *_LAZY]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(_LAZY[name], __name__), name)
