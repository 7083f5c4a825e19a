"""Networks by name: the catalogue, their files, verified downloads.

Only :func:`get_model` needs torch; it is imported with it (PEP 562).
"""
import importlib

from .catalogue import info, list_models
from .errors import DownloadError, ZooError
from .files import checkpoint_file, original_file, packed_file

_LAZY = dict(get_model='.models')

__all__ = [
    'DownloadError', 'ZooError', 'checkpoint_file', 'info', 'list_models',
    'original_file', 'packed_file', *_LAZY
]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(_LAZY[name], __name__), name)
