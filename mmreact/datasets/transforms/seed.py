"""Augmentation that does not depend on which worker does it."""
import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SeedAugmentation(BaseTransform):
    """Seed Python, numpy and torch from (seed, epoch, sample index).

    Put it first in a training pipeline: the random transforms behind it then
    draw the same numbers for a sample whatever the number of workers and
    however often training was resumed.
    :class:`mmreact.engine.hooks.ReproducibilityHook` sets seed and epoch,
    which live in shared memory and so reach persistent workers; until then
    this transform does nothing.

    Required keys: ``sample_idx`` (every MMEngine dataset sets it).
    """

    def __init__(self):
        self._seed_and_epoch = torch.full((2, ), -1,
                                          dtype=torch.int64).share_memory_()

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Set what the random numbers are a function of, in all workers."""
        self._seed_and_epoch[:] = torch.tensor([seed, epoch])

    def transform(self, results: dict) -> dict:
        entropy = [*self._seed_and_epoch.tolist(), results['sample_idx']]
        if min(entropy) < 0:
            return results
        words = np.random.SeedSequence(entropy).generate_state(4)
        random.seed(int(words[0]))
        np.random.seed(words[1])
        # Not torch.manual_seed, which also queues the seed for GPUs, at 20
        # times the cost of all the rest here.
        torch.default_generator.manual_seed(
            int(words[2]) << 32 | int(words[3]))
        return results
