"""Networks, classifiers, heads and losses, in ``mmpretrain.registry``."""
from .. import compat  # noqa: F401, isort: skip
from .backbones import (BinarizedBackbone, BiRealNet, MobileNetV1, ReActNet,
                        ReActResNet)
from .classifiers import DistilledImageClassifier, FrozenTeacher
from .heads import DistributionalLossHead
from .losses import DistributionalLoss

__all__ = [
    'BiRealNet', 'BinarizedBackbone', 'DistilledImageClassifier',
    'DistributionalLoss', 'DistributionalLossHead', 'FrozenTeacher',
    'MobileNetV1', 'ReActNet', 'ReActResNet'
]
