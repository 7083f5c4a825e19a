"""Hooks, optimizers and the running of stages."""
from .. import compat  # noqa: F401, isort: skip
from ..datasets import transforms  # noqa: F401, registers
from ..utils.checkpoint import use_in_mmengine
from . import inferencer  # noqa: F401, networks of one channel
from .atomic_backend import AtomicLocalBackend
from .hooks import (BinaryStatsHook, EstimatorScheduleHook, NonFiniteError,
                    NonFiniteHook, OPsCounterHook, ProgressHook,
                    ReproducibilityHook, ResumeScheduleHook, StrictLoadHook,
                    VerifiedCheckpointHook, WeightClipHook)
from .optimizers import BinaryOptimWrapperConstructor, CPUAmpOptimWrapper
from .packed_classifier import PackedClassifier
from .train_loop import ResumableTrainLoop

use_in_mmengine()

__all__ = [
    'AtomicLocalBackend', 'BinaryOptimWrapperConstructor', 'BinaryStatsHook',
    'CPUAmpOptimWrapper', 'EstimatorScheduleHook', 'NonFiniteError',
    'NonFiniteHook', 'OPsCounterHook', 'PackedClassifier', 'ProgressHook',
    'ReproducibilityHook', 'ResumableTrainLoop', 'ResumeScheduleHook',
    'StrictLoadHook', 'VerifiedCheckpointHook', 'WeightClipHook'
]
