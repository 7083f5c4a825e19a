from .binary_stats_hook import BinaryStatsHook
from .estimator_schedule_hook import EstimatorScheduleHook
from .non_finite_hook import NonFiniteError, NonFiniteHook
from .ops_counter_hook import OPsCounterHook
from .progress_hook import ProgressHook
from .reproducibility_hook import ReproducibilityHook
from .resume_schedule_hook import ResumeScheduleHook
from .strict_load_hook import StrictLoadHook
from .verified_checkpoint_hook import VerifiedCheckpointHook
from .weight_clip_hook import WeightClipHook

__all__ = [
    'BinaryStatsHook', 'EstimatorScheduleHook', 'NonFiniteError',
    'NonFiniteHook', 'OPsCounterHook', 'ProgressHook', 'ReproducibilityHook',
    'ResumeScheduleHook', 'StrictLoadHook', 'VerifiedCheckpointHook',
    'WeightClipHook'
]
