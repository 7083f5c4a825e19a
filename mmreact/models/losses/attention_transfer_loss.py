"""Attention transfer as a loss module."""
from typing import Sequence

import torch.nn as nn
from mmpretrain.registry import MODELS
from torch import Tensor

from ...functional import attention_transfer_loss, check_attention_norm


@MODELS.register_module()
class AttentionTransferLoss(nn.Module):
    """See :func:`mmreact.functional.attention_transfer_loss`.

    Args:
        norm (str): 'max' or 'l2'. Defaults to 'max'.
        loss_weight (float): Factor on the loss. Defaults to 1.0.

    Raises:
        ValueError: For an unknown norm.
    """

    def __init__(self, norm: str = 'max', loss_weight: float = 1.0):
        super().__init__()
        check_attention_norm(norm)
        self.norm = norm
        self.loss_weight = loss_weight

    def forward(self, student_feats: Sequence[Tensor],
                teacher_feats: Sequence[Tensor]) -> Tensor:
        """Compare feature maps ``(N, C, H, W)`` of student and teacher."""
        return self.loss_weight * attention_transfer_loss(
            student_feats, teacher_feats, self.norm)
