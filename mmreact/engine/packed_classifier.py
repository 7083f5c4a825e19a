"""A packed file in the place of a classifier, to be tested as one."""
from typing import List, Optional

import torch
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from ..packed.model import NotFiniteError, PackedModel


@MODELS.register_module()
class PackedClassifier(BaseModel):
    """Predicts with a packed file; it cannot be trained.

    Images come from a config's pipeline and ``data_preprocessor``; the
    preprocessing in the file is not used.

    Args:
        file (str): The packed file.
        backend (str): See :class:`mmreact.packed.PackedModel`. Defaults to
            'auto'.
        threads (int, optional): How many the backend uses.
        data_preprocessor (dict, optional): Defaults to a
            ``ClsDataPreprocessor``.
    """

    def __init__(self,
                 file: str,
                 backend: str = 'auto',
                 threads: Optional[int] = None,
                 data_preprocessor: Optional[dict] = None):
        data_preprocessor = dict(data_preprocessor or {})
        data_preprocessor.setdefault('type', 'ClsDataPreprocessor')
        super().__init__(MODELS.build(data_preprocessor))
        self.packed = PackedModel(file, backend, threads)

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[List[DataSample]] = None,
                mode: str = 'tensor'):
        """Return logits (mode 'tensor') or data samples ('predict').

        Args:
            inputs (Tensor): ``(N, C, H, W)``, normalised.
            data_samples (list[DataSample], optional): Get the predictions.

        Raises:
            NotFiniteError: If an image or its logits hold NaN or infinity;
                with the image's path where its data sample knows it.
        """
        try:
            logits = torch.from_numpy(self.packed(inputs.cpu().numpy()))
        except NotFiniteError as error:
            sample = data_samples[error.image] if data_samples else None
            path = getattr(sample, 'img_path', None)
            if path is None:
                raise
            raise NotFiniteError(f'{error} It is {path}.',
                                 error.image) from error
        if mode == 'tensor':
            return logits
        if mode != 'predict':
            raise ValueError('A packed file gives logits and predictions '
                             f'only, it has no mode {mode!r}.')
        data_samples = data_samples or [DataSample() for _ in logits]
        for sample, scores in zip(data_samples, logits.softmax(1)):
            sample.set_pred_score(scores).set_pred_label(
                scores.argmax(0, keepdim=True))
        return data_samples
