"""Run packed 1-bit networks without torch: numpy, safetensors and pillow."""
from .backends import BACKENDS, BackendMissingError
from .container import PackedFileError
from .file import PackedFile, describe, load_packed, save_packed
from .model import PackedModel, Prediction
from .ops import OPERATIONS, ProgramError
from .preprocessing import Preprocessing, read_image
from .program import INPUT, Program
from .summary import summarize

__all__ = [
    'BACKENDS', 'INPUT', 'OPERATIONS', 'BackendMissingError', 'PackedFile',
    'PackedFileError', 'PackedModel', 'Prediction', 'Preprocessing', 'Program',
    'ProgramError', 'describe', 'load_packed', 'read_image', 'save_packed',
    'summarize'
]
