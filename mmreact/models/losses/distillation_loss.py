"""Knowledge distillation as a loss module."""
import torch.nn as nn
from mmpretrain.registry import MODELS
from torch import Tensor

from ...functional import distillation_loss


@MODELS.register_module()
class DistillationLoss(nn.Module):
    """See :func:`mmreact.functional.distillation_loss`.

    Args:
        temperature (float): Divides the logits. Defaults to 1.0.
        loss_weight (float): Factor on the loss. Defaults to 1.0.
    """

    def __init__(self, temperature: float = 1.0, loss_weight: float = 1.0):
        super().__init__()
        self.temperature = temperature
        self.loss_weight = loss_weight

    def forward(self, student_logits: Tensor,
                teacher_logits: Tensor) -> Tensor:
        """Compare logits ``(N, num_classes)`` of student and teacher."""
        return self.loss_weight * distillation_loss(
            student_logits, teacher_logits, self.temperature)
