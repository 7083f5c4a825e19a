"""Refuse a checkpoint that does not fit the model."""
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmpretrain.registry import HOOKS

from ...utils.checkpoint import (CONFIG_HINT, RESET_HINT, CheckpointError,
                                 as_they_are, find_weights, with_head_of)
from .bare_model import bare_model


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Make ``load_from``, ``resume`` and testing strict.

    MMEngine loads with ``strict=False``: weights whose names or shapes do not
    match are dropped with a warning, and training goes on from random ones.
    Here such keys are named and the run stops. Weights are also found under
    other keys than ``state_dict`` and with prefixes, see
    :mod:`mmreact.utils.weights`.

    Args:
        reset_head (bool): Take everything but the classifier (``head.*``)
            from ``load_from`` and let the classifier start anew, for another
            set of classes. Has no effect on resuming, validation and
            testing. Defaults to False.
    """

    # Before EMAHook, which copies what it finds in the checkpoint.
    priority = 'VERY_HIGH'

    def __init__(self, reset_head: bool = False):
        self.reset_head = reset_head

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check (and with ``reset_head`` edit) the weights before loading.

        Raises:
            CheckpointError: Names keys that do not match.
        """
        model = bare_model(runner.model)
        # A loop is built when training starts, and not for a test.
        trains = isinstance(runner._train_loop, BaseLoop)
        starts = trains and not runner._resume
        reset = self.reset_head and starts
        source = runner._load_from or f'resumed in {runner.work_dir}'
        if runner._resume and not {'meta', 'message_hub'} <= set(checkpoint):
            raise CheckpointError(
                f'{source} holds no state of a training (its keys: '
                f'{", ".join(map(str, list(checkpoint)[:5]))}), so that it '
                'cannot be resumed. Start from it: --from CKPT.')
        reading = find_weights(model, checkpoint, f'Checkpoint {source}',
                               with_head_of if reset else as_they_are,
                               RESET_HINT if starts else CONFIG_HINT)
        if reset:
            runner.logger.info('The classifier starts anew.')
        checkpoint['state_dict'] = reading.weights
