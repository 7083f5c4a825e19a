from .distillation_head import DistillationHead
from .distributional_loss_head import DistributionalLossHead

__all__ = ['DistillationHead', 'DistributionalLossHead']
