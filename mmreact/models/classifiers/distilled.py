"""A classifier that owns a frozen teacher."""
from typing import List, Optional, Union

from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from .teacher import FrozenTeacher


@MODELS.register_module()
class DistilledImageClassifier(ImageClassifier):
    """An image classifier whose head also gets a teacher's logits.

    The teacher is built by the first call of ``loss``: testing, counting,
    exporting and ``get_model`` neither build it nor need its files.

    Args:
        *args, **kwargs: Of :class:`mmpretrain.models.ImageClassifier`. The
            head's ``loss`` must take ``teacher_logits``.
        teacher (dict | FrozenTeacher, optional): Arguments of
            :class:`FrozenTeacher`. Without one the model cannot be trained.
    """

    def __init__(self,
                 *args,
                 teacher: Optional[Union[dict, FrozenTeacher]] = None,
                 **kwargs):
        super().__init__(*args, **kwargs)
        if isinstance(teacher, dict):
            teacher = FrozenTeacher(**teacher)
        self.teacher = teacher

    def loss(self, inputs: Tensor, data_samples: List[DataSample]) -> dict:
        """Compute the head's losses from a batch and the teacher's logits.

        Args:
            inputs (Tensor): ``(N, C, H, W)``, normalised.
            data_samples (list[DataSample]): Labels of the samples.

        Returns:
            dict[str, Tensor]: Losses.
        """
        if self.teacher is None:
            raise ValueError('Training needs a teacher: set `model.teacher`, '
                             'see configs/_base_/teachers.')
        teacher_logits = self.teacher.logits(inputs, self.data_preprocessor,
                                             self.head.num_classes)
        feats = self.extract_feat(inputs)
        return self.head.loss(
            feats, data_samples, teacher_logits=teacher_logits)
