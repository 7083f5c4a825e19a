"""Run packed 1-bit networks without torch: numpy, safetensors and pillow."""
from .container import PackedFileError
from .file import PackedFile, load_packed, save_packed
from .ops import OPERATIONS, ProgramError
from .preprocessing import Preprocessing, read_image
from .program import INPUT, Program

__all__ = [
    'INPUT', 'OPERATIONS', 'PackedFile', 'PackedFileError', 'Preprocessing',
    'Program', 'ProgramError', 'load_packed', 'read_image', 'save_packed'
]
