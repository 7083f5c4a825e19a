"""A linear classifier that learns from a teacher's distribution."""
from typing import List, Optional, Tuple

from mmpretrain.models.heads import LinearClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor


@MODELS.register_module()
class DistributionalLossHead(LinearClsHead):
    """MMPretrain's linear head with ReActNet's distributional loss.

    Only ``loss`` needs the teacher's logits; ``predict`` and ``forward`` are
    the linear head's.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the pooled features.
        loss (dict): Defaults to ``dict(type='DistributionalLoss')``.
        **kwargs: Of :class:`mmpretrain.models.heads.LinearClsHead`.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 loss: dict = dict(type='DistributionalLoss'),
                 **kwargs):
        super().__init__(num_classes, in_channels, loss=loss, **kwargs)

    def loss(self,
             feats: Tuple[Tensor],
             data_samples: List[DataSample],
             teacher_logits: Optional[Tensor] = None) -> dict:
        """Compute the loss.

        Args:
            feats (tuple[Tensor]): Features, the last ``(N, in_channels)``.
            data_samples (list[DataSample]): With labels, for the accuracy.
            teacher_logits (Tensor): ``(N, num_classes)``.

        Returns:
            dict[str, Tensor]: ``loss`` and, with ``cal_acc``, accuracies.
        """
        if teacher_logits is None:
            raise ValueError(
                f'{type(self).__name__} learns from a teacher. Use it in a '
                'DistilledImageClassifier with a teacher, or take '
                'LinearClsHead to learn from labels.')
        return super().loss(feats, data_samples, teacher_logits=teacher_logits)
