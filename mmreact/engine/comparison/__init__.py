"""Train methods with several seeds, and compare what they reach."""
from .display import Display
from .launch import Interrupted, Launcher
from .results import make_samples, read_result
from .trials import Trial, make_trials, record_trials, recorded_trials

__all__ = [
    'Display', 'Interrupted', 'Launcher', 'Trial', 'make_samples',
    'make_trials', 'read_result', 'record_trials', 'recorded_trials'
]
