"""The bridge from torch to packed programs."""
from .draft import LoweringError
from .lowering import Lowered, lower, lower_traced
from .preprocessing import read_preprocessing, take_any_size
from .rows import lowers
from .verification import VerifyReport, default_batch_size, verify

__all__ = [
    'Lowered', 'LoweringError', 'VerifyReport', 'default_batch_size', 'lower',
    'lower_traced', 'lowers', 'read_preprocessing', 'take_any_size', 'verify'
]
