"""Epochs that can be interrupted and resumed anywhere."""
import os
from contextlib import closing
from functools import partial
from typing import Iterator

from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import LOOPS

from .hooks.verified_checkpoint_hook import VerifiedCheckpointHook
from .preemption import Agreement, deferred, leave

#: Number of batches of an unfinished epoch, in MMEngine's message hub.
DONE = 'batches_done'


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """MMEngine's loop over epochs, which can be told to stop and be resumed.

    After the iteration in which the signal arrives (with several processes:
    the next one, with accumulated gradients: the next update) it writes
    ``epoch_<done>_iter_<in all>.pth`` and ends the process. Resumed from it,
    the first batches of the epoch are passed over without being loaded, so
    that what follows equals an undisturbed run: the order of the images and
    their augmentation are functions of seed and epoch, and
    :class:`mmreact.engine.ReproducibilityHook` restores the rest.

    In the last iteration of an epoch, and while its checkpoint is written,
    that checkpoint is the one it goes on from.
    """

    def run(self):
        """Train, with workers that signals do not reach."""
        val_loop = self.runner.val_loop
        for loop in (self, val_loop) if val_loop is not None else (self, ):
            loader = loop.dataloader
            loader.worker_init_fn = partial(_start_worker,
                                            loader.worker_init_fn)
        return super().run()

    def run_epoch(self) -> None:
        """Iterate one epoch, or what is left of it."""
        runner, agreement = self.runner, Agreement()
        start = self._batches_done()
        runner.call_hook('before_train_epoch')
        runner.model.train()
        with deferred():
            with closing(self._batches(start)) as batches:
                for idx, batch in enumerate(batches, start):
                    self.run_iter(idx, batch)
                    # Gradients that add up are in no checkpoint.
                    stop = runner.optim_wrapper.should_update() and \
                        agreement.reached()
                    if stop and idx + 1 < len(self.dataloader):
                        self._save(idx + 1)
                        leave()
            runner.call_hook('after_train_epoch')
            self._epoch += 1
            # Twice, as each call answers what the one before has asked.
            if agreement.reached() or agreement.reached():
                leave()

    def _batches_done(self) -> int:
        """How many batches of this epoch a resumed checkpoint has seen.

        Raises:
            RuntimeError: If an epoch has another number of batches now.
        """
        done, total = self.runner.message_hub.runtime_info.pop(DONE, (0, 0))
        if done and total != len(self.dataloader):
            raise RuntimeError(
                f'The checkpoint was written after {done} of {total} batches '
                f'of an epoch, which has {len(self.dataloader)} now. Use the '
                'same batch size and number of processes, or resume from the '
                'checkpoint before, at the end of an epoch.')
        return done

    def _batches(self, start: int) -> Iterator:
        """The batches of an epoch from ``start`` on."""
        sampler = self.dataloader.batch_sampler
        whole = sampler.sampler
        if start:
            sampler.sampler = _Rest(whole, start * sampler.batch_size)
        try:
            batches = iter(self.dataloader)
            if start:
                self.runner.call_hook('after_resume_epoch')
            yield from batches
        finally:
            sampler.sampler = whole

    def _save(self, done: int) -> None:
        """Write a checkpoint within an epoch."""
        runner = self.runner
        runner.message_hub.update_info(DONE, (done, len(self.dataloader)))
        runner.call_hook('before_interruption')
        name = f'epoch_{self._epoch}_iter_{self._iter}.pth'
        meta = dict(epoch=self._epoch, iter=self._iter)
        for hook in runner.hooks:
            if isinstance(hook, VerifiedCheckpointHook):
                hook.save(runner, name, meta)
                break
        else:
            runner.save_checkpoint(
                runner.work_dir,
                name,
                meta=meta,
                backend_args=dict(backend='atomic'))
        runner.logger.info(f'Told to stop: saved {name}. '
                           'Go on with --resume.')


def _start_worker(worker_init_fn, worker_id: int) -> None:
    """Leave the process group of the training, all of which gets signals.

    They come from torchrun and, at Ctrl+C, from the terminal. Else the workers
    die and the iteration cannot be finished. They end when the training does:
    they look for it every few seconds.
    """
    os.setpgid(0, 0)
    if worker_init_fn is not None:
        worker_init_fn(worker_id)


class _Rest:
    """A sampler without its first indices, of the same nominal length."""

    def __init__(self, sampler, skip: int):
        self.sampler = sampler
        self.skip = skip

    def __iter__(self) -> Iterator[int]:
        indices = iter(self.sampler)
        for _ in range(self.skip):
            next(indices)
        return indices

    def __len__(self) -> int:
        return len(self.sampler)
