"""Several training runs that build on each other.

``plan`` finds them, ``checks`` looks for what would stop them,
``fingerprint`` recognises what was done before, ``train`` runs the rest.
"""
from .checks import check_plan
from .fingerprint import FingerprintError
from .plan import Options, Run, default_work_dir, make_plan
from .train import start_distributed, train_plan

__all__ = [
    'FingerprintError', 'Options', 'Run', 'check_plan', 'default_work_dir',
    'make_plan', 'start_distributed', 'train_plan'
]
