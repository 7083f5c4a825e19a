"""Run packed 1-bit networks without torch: numpy, safetensors and pillow."""
from .ops import OPERATIONS, ProgramError
from .preprocessing import Preprocessing, read_image
from .program import INPUT, Program

__all__ = [
    'INPUT', 'OPERATIONS', 'Preprocessing', 'Program', 'ProgramError',
    'read_image'
]
