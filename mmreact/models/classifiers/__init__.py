from .distilled import DistilledImageClassifier
from .teacher import FrozenTeacher

__all__ = ['DistilledImageClassifier', 'FrozenTeacher']
