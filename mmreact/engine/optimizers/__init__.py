from .binary_constructor import BinaryOptimWrapperConstructor, split_by_decay
from .cpu_amp import CPUAmpOptimWrapper

__all__ = [
    'BinaryOptimWrapperConstructor', 'CPUAmpOptimWrapper', 'split_by_decay'
]
