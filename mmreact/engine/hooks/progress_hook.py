"""Say how far a training is, and when all of it will be done."""
import time
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS

from ..progress import duration, memory, read_progress, write_progress
from .weight_clip_hook import latent_weights

METRIC = 'accuracy/top1'


@HOOKS.register_module()
class ProgressHook(Hook):
    """Log a line an epoch, and keep ``progress.json`` in the work directory.

    The line says which run of the plan this is, the epoch, images per second
    (all processes), peak memory (of the main process), and when this run and
    all of them end. These follow from the time an iteration takes in this
    epoch, the last validation, and the epochs that are left; a later run on
    the same data is taken to need as much an epoch as this one.

    ``tools/train.py`` fills in what it knows of the other runs.

    Args:
        number (int): Which run this is, from 1.
        total (int): Number of runs.
        later_epochs (int): Epochs of the runs to come, on the same data.
        later_unknown (int): Number of runs to come on other data.
        first (int): There is one more line after so many iterations, since
            an epoch may take hours.
    """

    def __init__(self,
                 number: int = 1,
                 total: int = 1,
                 later_epochs: int = 0,
                 later_unknown: int = 0,
                 first: int = 20):
        self.number, self.total = number, total
        self.later_epochs = later_epochs
        self.later_unknown = later_unknown
        self.first = first
        self.val_seconds = 0.

    def before_train(self, runner) -> None:
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        # A run that starts anew must not show what an old one has reached.
        self.progress = read_progress(runner.work_dir) if runner.iter else {}
        self.progress.update(
            one_bit=bool(latent_weights(model)),
            log=str(Path(runner.log_dir, f'{runner.timestamp}.log')))
        self.before = self.progress.get('seconds', 0.)
        self.begin = time.monotonic()

    def before_train_epoch(self, runner) -> None:
        self.start, self.iters = None, 0

    def after_train_iter(self,
                         runner,
                         batch_idx,
                         data_batch=None,
                         outputs=None) -> None:
        # From the end of the first one on: workers have started then.
        if self.start is None:
            self.start = time.monotonic()
            return
        self.iters += 1
        if self.iters == self.first:
            self.first = None
            self._say(runner, runner.epoch + 1, runner.iter + 1)

    def after_train_epoch(self, runner) -> None:
        self._say(runner, runner.epoch + 1, runner.iter)
        self._write(runner, epoch=runner.epoch + 1)

    def before_val_epoch(self, runner) -> None:
        self.val_start = time.monotonic()

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.val_seconds = time.monotonic() - self.val_start
        value = (metrics or {}).get(METRIC)
        if not hasattr(self, 'begin') or value is None:
            return  # not a training, or another metric
        found = dict(metric=METRIC, last=float(value))
        if value >= self.progress.get('best', float('-inf')):
            found.update(best=float(value), best_epoch=runner.epoch)
        self._write(runner, **found)

    def _say(self, runner, epoch: int, done: int) -> None:
        """Log the line. ``done``: iterations of this run, this one too."""
        loader = runner.train_dataloader
        words = [f'epoch {epoch}/{runner.max_epochs}']
        if self.iters:
            seconds = (time.monotonic() - self.start) / self.iters
            images = len(loader.dataset) / len(loader) / seconds
            words.append(f'{images:,.0f} images/s')
        words.append(memory())
        if self.iters:
            ends = (runner.max_iters - done) * seconds
            ends += (runner.max_epochs - epoch + 1) * self.val_seconds
            words.append(f'this run ends in {duration(ends)}')
            if self.total > 1:
                later = self.later_epochs * (
                    len(loader) * seconds + self.val_seconds)
                but = (f' (without {self.later_unknown} on other data)'
                       if self.later_unknown else '')
                words.append(f'all runs in {duration(ends + later)}{but}')
        runner.logger.info(f'[{self.number}/{self.total}] ' + ', '.join(words))

    def _write(self, runner, **news) -> None:
        seconds = self.before + time.monotonic() - self.begin
        self.progress.update(news, seconds=seconds)
        if is_main_process():
            write_progress(runner.work_dir, self.progress)
