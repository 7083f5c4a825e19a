"""A linear classifier that learns from labels and from a teacher."""
from typing import List, Optional, Sequence, Tuple

from mmpretrain.models.heads import LinearClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor


@MODELS.register_module()
class DistillationHead(LinearClsHead):
    """MMPretrain's linear head with up to three losses, which are added.

    ``loss`` compares with the labels, ``distillation`` with the teacher's
    logits, ``attention`` with its feature maps. Only training needs a teacher;
    ``predict`` and ``forward`` are the linear head's.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the pooled features.
        loss (dict): Defaults to ``dict(type='CrossEntropyLoss')``.
        distillation (dict): Defaults to ``dict(type='DistillationLoss')``.
        attention (dict, optional): ``dict(type='AttentionTransferLoss')``,
            for which the classifier and its teacher need ``feature_layers``.
            Defaults to None.
        **kwargs: Of :class:`mmpretrain.models.heads.LinearClsHead`.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 loss: dict = dict(type='CrossEntropyLoss'),
                 distillation: dict = dict(type='DistillationLoss'),
                 attention: Optional[dict] = None,
                 **kwargs):
        super().__init__(num_classes, in_channels, loss=loss, **kwargs)
        self.distillation = MODELS.build(distillation)
        self.attention = None if attention is None else MODELS.build(attention)

    def loss(
        self,
        feats: Tuple[Tensor],
        data_samples: List[DataSample],
        teacher_logits: Optional[Tensor] = None,
        student_feats: Sequence[Tensor] = (),
        teacher_feats: Sequence[Tensor] = ()
    ) -> dict:
        """Compute the losses.

        Args:
            feats (tuple[Tensor]): Features, the last ``(N, in_channels)``.
            data_samples (list[DataSample]): With labels.
            teacher_logits (Tensor): ``(N, num_classes)``.
            student_feats, teacher_feats (Sequence[Tensor]): Feature maps
                ``(N, C, H, W)`` to compare, for ``attention``.

        Returns:
            dict[str, Tensor]: ``loss_cls``, ``loss_distillation``, with
            ``attention`` also ``loss_attention``, and, with ``cal_acc``,
            accuracies.

        Raises:
            ValueError: If there is no teacher, or nothing to compare for
                ``attention``.
        """
        if teacher_logits is None:
            raise ValueError(
                f'{type(self).__name__} learns from a teacher. Use it in a '
                'DistilledImageClassifier with a teacher, or take '
                'LinearClsHead to learn from labels.')
        cls_score = self(feats)
        losses = self._get_loss(cls_score, data_samples)
        losses['loss_cls'] = losses.pop('loss')
        losses['loss_distillation'] = self.distillation(
            cls_score, teacher_logits)
        if self.attention is not None:
            if not student_feats:
                raise ValueError(
                    'Attention transfer compares layers of student and '
                    'teacher: name them in `model.feature_layers` and '
                    '`model.teacher.feature_layers`, or set '
                    '`model.head.attention=None`.')
            losses['loss_attention'] = self.attention(student_feats,
                                                      teacher_feats)
        return losses
