"""Run packed 1-bit networks without torch: numpy, safetensors and pillow."""
from .ops import OPERATIONS, ProgramError
from .program import INPUT, Program

__all__ = ['INPUT', 'OPERATIONS', 'Program', 'ProgramError']
