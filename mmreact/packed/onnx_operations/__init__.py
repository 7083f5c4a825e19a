"""How ONNX computes each operation, a file for each theme."""
from . import convolutions, elementwise, layout, pooling  # noqa: F401, rows
from .nodes import BUILDERS

__all__ = ['BUILDERS']
