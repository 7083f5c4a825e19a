"""The frozen teacher of a distilled classifier."""
from typing import List, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...utils.checkpoint import (find_weights, load_checkpoint,
                                 with_batch_counters)
from ...utils.config_files import read_config
from ...utils.recording import record_outputs


class FrozenTeacher:
    """A classifier that only gives outputs: in eval mode, without gradients.

    It is built on its first use. It is not an ``nn.Module``, so a model that
    holds it does not have it among its parameters, buffers or state_dict, and
    no optimizer, EMA or DDP sees it; a deepcopy of the model shares it.

    Args:
        model (dict, optional): Config of any MMPretrain classifier, or of
            any module that gives logits ``(N, num_classes)`` of images, with
            the path of its class or function as ``type``:
            ``dict(type='torchvision.models.resnet50')``.
        config (str, optional): Instead of ``model``, a config file to take it
            (and the ``data_preprocessor``) from.
        checkpoint (str, optional): Its weights, a file or an address. A
            teacher without weights is refused when it is used.
        data_preprocessor (dict, optional): The ``mean``, ``std`` and
            ``to_rgb`` that the teacher was trained with. Defaults to those
            in ``model`` or ``config``, else to the student's.
        feature_layers (Sequence[str]): Layers whose outputs it gives beside
            its logits, e.g. 'backbone.layer1.0'. Defaults to none.
    """

    def __init__(self,
                 model: Optional[dict] = None,
                 config: Optional[str] = None,
                 checkpoint: Optional[str] = None,
                 data_preprocessor: Optional[dict] = None,
                 feature_layers: Sequence[str] = ()):
        if (model is None) == (config is None):
            raise ValueError('A teacher needs either `model` (the config of a '
                             'classifier) or `config` (a config file).')
        self.model = model
        self.config = config
        self.checkpoint = checkpoint
        self.data_preprocessor = data_preprocessor
        self.feature_layers = tuple(feature_layers)
        self._module: Optional[nn.Module] = None

    def __deepcopy__(self, memo) -> 'FrozenTeacher':
        return self

    @property
    def is_built(self) -> bool:
        return self._module is not None

    @torch.no_grad()
    def outputs(self, inputs: Tensor, student_preprocessor: nn.Module,
                num_classes: int) -> Tuple[Tensor, List[Tensor]]:
        """Classify a batch that was normalised for the student.

        Args:
            inputs (Tensor): ``(N, C, H, W)`` as the student sees it.
            student_preprocessor (ClsDataPreprocessor): What normalised it.
            num_classes (int): Classes of the student.

        Returns:
            tuple[Tensor, list[Tensor]]: Logits ``(N, num_classes)`` and the
            outputs of ``feature_layers``, without gradients.

        Raises:
            ValueError: If the teacher's number of classes is another one, it
                has no such layer, or it gives no logits.
            CheckpointError: If its weights cannot be had or do not fit.
        """
        if self._module is None:
            self._module = self._build()
        reference = next(self._module.parameters())
        if (reference.device, reference.dtype) != (inputs.device,
                                                   inputs.dtype):
            self._module.to(inputs.device, inputs.dtype)
        with record_outputs(self._module, self.feature_layers) as feats:
            logits = self._logits(
                self._renormalise(inputs, student_preprocessor))
        if logits.shape[1] != num_classes:
            raise ValueError(
                f'The teacher has {logits.shape[1]} classes, the student '
                f'{num_classes}. Take a teacher that was trained on the '
                'student\'s classes.')
        return logits, feats

    def _build(self) -> nn.Module:
        if self.checkpoint is None:
            raise ValueError(
                'The teacher has no weights: set `model.teacher.checkpoint` '
                'or give tools/train.py --teacher CKPT.')
        model, preprocessor = self.model, None
        if self.config is not None:
            cfg = read_config(self.config)
            model, preprocessor = cfg.model, cfg.get('data_preprocessor')
        if self.data_preprocessor is None:  # as Runner: the model's goes first
            self.data_preprocessor = model.get('data_preprocessor',
                                               preprocessor)
        module = MODELS.build(model)
        reading = find_weights(module, load_checkpoint(self.checkpoint),
                               f'Teacher {self.checkpoint}',
                               with_batch_counters)
        module.load_state_dict(reading.weights)
        return module.eval().requires_grad_(False)

    def _logits(self, x: Tensor) -> Tensor:
        """Run the teacher; one that is not MMEngine's takes images only."""
        is_ours = isinstance(self._module, BaseModel)
        logits = self._module(x, **(dict(mode='tensor') if is_ours else {}))
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            shape = getattr(logits, 'shape', None)
            raise ValueError(
                f'The teacher {type(self._module).__name__} gave a '
                f'{type(logits).__name__}{f" {tuple(shape)}" if shape else ""}'
                ' instead of logits (N, num_classes).')
        return logits

    def _renormalise(self, x: Tensor, student: nn.Module) -> Tensor:
        """Change the student's normalisation into the teacher's."""
        teacher = self.data_preprocessor
        if teacher is None:
            return x
        mean, std = _statistics(x, getattr(student, 'mean', None),
                                getattr(student, 'std', None))
        if bool(teacher.get('to_rgb')) != student.to_rgb and x.shape[1] == 3:
            x, mean, std = x.flip(1), mean.flip(0), std.flip(0)
        teacher_mean, teacher_std = _statistics(x, teacher.get('mean'),
                                                teacher.get('std'))
        return x * (std / teacher_std) + (mean - teacher_mean) / teacher_std


def _statistics(like: Tensor, mean, std):
    """Mean and std ``(C, 1, 1)``; 0 and 1 where nothing is normalised."""
    mean, std = (0., 1.) if mean is None else (mean, std)
    return (torch.as_tensor(mean).to(like).view(-1, 1, 1),
            torch.as_tensor(std).to(like).view(-1, 1, 1))
