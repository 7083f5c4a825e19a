"""Sharpen the sign's pseudo-gradient while training goes on."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS

from ...functional import at_progress


@HOOKS.register_module()
class EstimatorScheduleHook(Hook):
    """Tell estimators that depend on it how far the training is.

    For the tanh schedule (``estimator='tanh'``): the Error Decay Estimator of
    IR-Net (CVPR 2020) with its default ``t_min`` 0.1 and ``t_max`` 10, nearly
    the identity first and nearly the sign at last. The progress is a function
    of the runner's counters, so that a resumed training goes on with it.

    Args:
        by_epoch (bool): ``progress = epoch / max_epochs``, constant within an
            epoch, as in IR-Net; else ``iter / max_iters``, updated in each
            iteration. Defaults to True.
    """

    def __init__(self, by_epoch: bool = True):
        self.by_epoch = by_epoch

    def before_train(self, runner) -> None:
        """Refuse a model on which the hook has no effect.

        Raises:
            ValueError: If no layer's estimator depends on the progress.
        """
        if not self._set_progress(runner, 0.):
            raise ValueError(
                f'{type(self).__name__}: no layer has an estimator with a '
                'parameter `progress`. Set e.g. model.backbone.estimator='
                '"tanh", or remove the hook.')

    def before_train_epoch(self, runner) -> None:
        if self.by_epoch:
            self._set_progress(runner, runner.epoch / runner.max_epochs)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if not self.by_epoch:
            self._set_progress(runner, runner.iter / runner.max_iters)

    @staticmethod
    def _set_progress(runner, progress: float) -> int:
        """Set it in all layers; return the number of those that follow."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        number = 0
        for module in model.modules():
            if hasattr(module, 'estimator'):
                estimator = at_progress(module.estimator, progress)
                number += estimator is not module.estimator
                module.estimator = estimator
        return number
