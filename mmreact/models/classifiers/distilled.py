"""A classifier that owns a frozen teacher."""
from typing import List, Optional, Sequence, Union

from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from ...utils.recording import find_layers, record_outputs
from .teacher import FrozenTeacher


@MODELS.register_module()
class DistilledImageClassifier(ImageClassifier):
    """An image classifier whose head also gets what a teacher gives.

    The teacher is built by the first call of ``loss``: testing, counting,
    exporting and ``get_model`` neither build it nor need its files. Feature
    maps are kept in ``loss`` only.

    Args:
        *args, **kwargs: Of :class:`mmpretrain.models.ImageClassifier`. The
            head's ``loss`` must take ``teacher_logits`` and, with
            ``feature_layers``, ``student_feats`` and ``teacher_feats``.
        teacher (dict | FrozenTeacher, optional): Arguments of
            :class:`FrozenTeacher`. Without one the model cannot be trained.
        feature_layers (Sequence[str]): Layers whose outputs the head compares
            with those of the teacher's ``feature_layers``, e.g.
            'backbone.stages.0'. Defaults to none.

    Raises:
        ValueError: If there is no such layer, or the teacher names another
            number of layers.
    """

    def __init__(self,
                 *args,
                 teacher: Optional[Union[dict, FrozenTeacher]] = None,
                 feature_layers: Sequence[str] = (),
                 **kwargs):
        super().__init__(*args, **kwargs)
        if isinstance(teacher, dict):
            teacher = FrozenTeacher(**teacher)
        self.teacher = teacher
        self.feature_layers = tuple(feature_layers)
        find_layers(self, self.feature_layers)  # a wrong name fails here
        theirs = self.feature_layers if teacher is None else (
            teacher.feature_layers)
        if len(theirs) != len(self.feature_layers):
            raise ValueError(
                f'The student has {len(self.feature_layers)} feature_layers, '
                f'its teacher {len(theirs)}: name as many of both.')

    def loss(self, inputs: Tensor, data_samples: List[DataSample]) -> dict:
        """Compute the head's losses from a batch and the teacher's outputs.

        Args:
            inputs (Tensor): ``(N, C, H, W)``, normalised.
            data_samples (list[DataSample]): Labels of the samples.

        Returns:
            dict[str, Tensor]: Losses.
        """
        if self.teacher is None:
            raise ValueError('Training needs a teacher: set `model.teacher`, '
                             'see configs/_base_/teachers.')
        teacher_logits, teacher_feats = self.teacher.outputs(
            inputs, self.data_preprocessor, self.head.num_classes)
        with record_outputs(self, self.feature_layers) as student_feats:
            feats = self.extract_feat(inputs)
        compared = dict(teacher_logits=teacher_logits)
        if self.feature_layers:
            compared.update(
                student_feats=student_feats, teacher_feats=teacher_feats)
        return self.head.loss(feats, data_samples, **compared)
