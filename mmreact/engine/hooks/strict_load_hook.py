"""Refuse a checkpoint that does not fit the model."""
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmpretrain.registry import HOOKS

from ...utils.checkpoint import check_match, get_state_dict, with_head_of
from .bare_model import bare_model


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Make ``load_from``, ``resume`` and testing strict.

    MMEngine loads with ``strict=False``: weights whose names or shapes do not
    match are dropped with a warning, and training goes on from random ones.
    Here each such key is named and the run stops.

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
            CheckpointError: Names every key that does not match.
        """
        model = bare_model(runner.model)
        state_dict = get_state_dict(checkpoint)
        # A loop is built when training starts, and not for a test.
        trains = isinstance(runner._train_loop, BaseLoop)
        if self.reset_head and trains and not runner._resume:
            state_dict = with_head_of(model, state_dict)
            runner.logger.info('The classifier (head.*) starts anew.')
        source = runner._load_from or f'resumed in {runner.work_dir}'
        check_match(model, state_dict, f'Checkpoint {source}')
        checkpoint['state_dict'] = state_dict
