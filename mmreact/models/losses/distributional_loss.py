"""The distributional loss as an MMPretrain loss module."""
from typing import Optional

import torch.nn as nn
from mmpretrain.registry import MODELS
from torch import Tensor

from ...functional import distributional_loss


@MODELS.register_module()
class DistributionalLoss(nn.Module):
    """See :func:`mmreact.functional.distributional_loss`.

    Args:
        loss_weight (float): Factor on the loss. Defaults to 1.0.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self,
                cls_score: Tensor,
                target: Optional[Tensor],
                teacher_logits: Tensor,
                avg_factor: Optional[int] = None) -> Tensor:
        """Compare student and teacher; labels are not used.

        Args:
            cls_score (Tensor): Student's logits ``(N, num_classes)``.
            target (Tensor, optional): Labels, ignored: the loss has no
                label term.
            teacher_logits (Tensor): ``(N, num_classes)``.
            avg_factor (int, optional): Ignored: the loss is the mean over
                the batch.
        """
        return self.loss_weight * distributional_loss(cls_score,
                                                      teacher_logits)
