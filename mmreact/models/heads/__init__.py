from .binary_linear_head import BinaryLinearClsHead
from .distillation_head import DistillationHead
from .distributional_loss_head import DistributionalLossHead

__all__ = ['BinaryLinearClsHead', 'DistillationHead', 'DistributionalLossHead']
