from .attention_transfer_loss import AttentionTransferLoss
from .distillation_loss import DistillationLoss
from .distributional_loss import DistributionalLoss

__all__ = ['AttentionTransferLoss', 'DistillationLoss', 'DistributionalLoss']
