"""Run packed 1-bit networks without torch: numpy, safetensors and pillow."""
from .backends import BACKENDS, BackendMissingError
from .container import PackedFileError
from .file import PackedFile, describe, load_packed, save_packed
from .model import PackedModel, Prediction
from .ops import OPERATIONS, ProgramError
from .preprocessing import Preprocessing
from .program import INPUT, Program
from .reading import ImageError, read_image
from .resizing import Resize
from .summary import summarize

__all__ = [
    'BACKENDS', 'INPUT', 'OPERATIONS', 'BackendMissingError', 'ImageError',
    'PackedFile', 'PackedFileError', 'PackedModel', 'Prediction',
    'Preprocessing', 'Program', 'ProgramError', 'Resize', 'describe',
    'load_packed', 'read_image', 'save_packed', 'summarize'
]
