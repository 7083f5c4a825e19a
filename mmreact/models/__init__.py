"""Networks, classifiers, heads and losses, in ``mmpretrain.registry``."""
from .. import compat  # noqa: F401, isort: skip
from ..zoo import model_hub
from . import backbones
from .backbones import *  # noqa: F401, F403
from .classifiers import DistilledImageClassifier, FrozenTeacher
from .heads import (BinaryLinearClsHead, DistillationHead,
                    DistributionalLossHead)
from .losses import AttentionTransferLoss, DistillationLoss, DistributionalLoss

__all__ = [
    *backbones.__all__, 'AttentionTransferLoss', 'BinaryLinearClsHead',
    'DistillationHead', 'DistillationLoss', 'DistilledImageClassifier',
    'DistributionalLoss', 'DistributionalLossHead', 'FrozenTeacher'
]

model_hub.register()
