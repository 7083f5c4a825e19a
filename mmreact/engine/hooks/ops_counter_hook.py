"""Log what a network costs."""
from typing import Optional, Sequence

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from ...analysis import count_ops
from .bare_model import bare_model


@HOOKS.register_module()
class OPsCounterHook(Hook):
    """Log BOPs, FLOPs, OPs and parameters once, at the first batch.

    Args:
        input_shape (Sequence[int], optional): ``(C, H, W)``. Defaults to the
            shape of the first image of the first batch.
    """

    def __init__(self, input_shape: Optional[Sequence[int]] = None):
        self.input_shape = input_shape
        self.logged = False

    def _before_iter(self, runner, batch_idx, data_batch=None, mode='train'):
        if self.logged or not is_main_process():
            return
        if not isinstance(data_batch, dict):
            return  # vis_scheduler.py of MMPretrain trains a stand-in
        self.logged = True
        model, image = bare_model(runner.model), data_batch['inputs'][0]
        while isinstance(image, (list, tuple)):  # augmented several times
            image = image[0]
        shape = self.input_shape or tuple(image.shape[-3:])
        report = count_ops(model, shape)
        runner.logger.info(f'Operations at input {shape}:\n{report.summary()}')
