"""Make an interrupted and resumed run equal to an undisturbed one."""
import random
from typing import List, Optional

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from ...datasets.transforms import SeedAugmentation


def get_rng_state() -> dict:
    """The states of Python's, numpy's and torch's generators.

    Returns:
        dict: Plain values and tensors only, so that
        ``torch.load(weights_only=True)`` reads it.
    """
    name, keys, *rest = np.random.get_state()
    state = dict(
        python=random.getstate(),
        numpy=(name, torch.from_numpy(keys.astype(np.int64)), *rest),
        torch=torch.get_rng_state())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict) -> None:
    """Undo what happened since :func:`get_rng_state`."""
    name, keys, *rest = state['numpy']
    random.setstate(state['python'])
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@HOOKS.register_module()
class ReproducibilityHook(Hook):
    """Make random numbers a function of the seed and of the epoch.

    MMEngine's checkpoints hold no random state. This hook

    - tells :class:`mmreact.datasets.transforms.SeedAugmentation` the seed and
      the epoch, so that augmentation does not depend on workers;
    - saves the main processes' states (one a rank) at the end of each epoch
      and sets them again at the first iteration of the next, whether that
      follows in the same process or after a resume. What happens between, a
      validation or the start of workers, thus changes nothing;
    - does the same within an epoch for
      :class:`mmreact.engine.ResumableTrainLoop`, there with the buffers of
      each process (BN statistics), which differ until the epoch ends.
    """

    def __init__(self):
        self.states: Optional[List[dict]] = None

    def before_train_epoch(self, runner) -> None:
        dataset = runner.train_dataloader.dataset
        for transform in _transforms(dataset):
            if isinstance(transform, SeedAugmentation):
                transform.set_epoch(runner.seed, runner.epoch)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if batch_idx == 0:
            self._restore(runner)

    def after_train_epoch(self, runner) -> None:
        self.states = all_gather_object(get_rng_state())

    def before_interruption(self, runner) -> None:
        """Of ResumableTrainLoop, before a checkpoint within an epoch."""
        buffers = {k: v.cpu() for k, v in runner.model.named_buffers()}
        self.states = all_gather_object(dict(get_rng_state(), buffers=buffers))

    def after_resume_epoch(self, runner) -> None:
        """Of ResumableTrainLoop, before it goes on within an epoch."""
        self._restore(runner)

    def _restore(self, runner) -> None:
        rank = get_rank()
        if self.states is not None and rank < len(self.states):
            set_rng_state(self.states[rank])
            buffers = self.states[rank].get('buffers', {})
            runner.model.load_state_dict(buffers, strict=False)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self.states is not None:
            checkpoint['rng_states'] = self.states

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            self.states = checkpoint.get('rng_states')


def _transforms(dataset) -> list:
    """The transforms of a dataset, also of those inside wrappers."""
    if hasattr(dataset, 'pipeline'):
        return getattr(dataset.pipeline, 'transforms', [])
    inner = [dataset.dataset] if hasattr(dataset, 'dataset') else getattr(
        dataset, 'datasets', [])  # of ConcatDataset
    return [t for one in inner for t in _transforms(one)]
