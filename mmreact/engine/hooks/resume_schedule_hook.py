"""Resume with another number of processes than before."""
import warnings

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class ResumeScheduleHook(Hook):
    """Put schedules where they belong with another number of processes.

    An epoch has another number of iterations then. MMEngine resumes schedules
    as they were saved: one that was converted to iterations would end too
    early or too late. Here they go on as if all epochs so far had had the new
    length, and so does the iteration counter. The optimizer's moments, EMA
    and weights are taken as they are; the learning rate follows the batch
    only with ``auto_scale_lr``.

    How many processes wrote a checkpoint is known from the random states that
    :class:`ReproducibilityHook` put into it, one a process. Where it is the
    same or not known, and in a training by iterations, nothing is done.
    """

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Edit the counters and schedules before the runner takes them."""
        if not runner._resume or not isinstance(runner.train_loop,
                                                EpochBasedTrainLoop):
            return
        meta = checkpoint['meta']
        epoch, length = meta['epoch'], len(runner.train_dataloader)
        processes = len(checkpoint.get('rng_states') or [])
        if processes in (0, get_world_size()) or epoch == 0:
            return
        advance(runner.param_schedulers, epoch, length)
        meta['iter'] = epoch * length
        checkpoint['param_schedulers'] = [
            scheduler.state_dict() for scheduler in runner.param_schedulers
        ]
        saved = checkpoint['optimizer']
        # The last is MMEngine's: what it logs as base_lr.
        saved = [*saved['param_groups'], saved.get('base_param_settings')]
        groups = runner.optim_wrapper.param_groups
        for group, new in zip(saved, groups):
            group.update({k: v for k, v in new.items() if k != 'params'})
        runner.logger.warning(describe(runner, processes, groups[0]['lr']))


def advance(schedulers, epochs: int, length: int) -> None:
    """Step new schedulers as a training of some epochs does.

    Args:
        schedulers (list): Of MMEngine, not stepped yet. Those that count
            iterations are stepped after each, the others after each epoch.
        epochs (int): Number of epochs.
        length (int): Iterations of an epoch.
    """
    with warnings.catch_warnings():
        # That no optimizer step came before.
        warnings.filterwarnings('ignore', message='Detected call of')
        for scheduler in schedulers:
            for _ in range(epochs if scheduler.by_epoch else epochs * length):
                scheduler.step()


def describe(runner, before: int, lr: float) -> str:
    """What a user has to know about a training that goes on differently."""
    now = get_world_size()
    images = runner.train_dataloader.batch_size
    scaled = (runner.auto_scale_lr or {}).get('enable', False)
    lines = [
        f'Processes: {before} -> {now}, with {images} images each; batch '
        f'size: {before * images} -> {now * images}.',
        f'The learning rate goes on with {lr:.4g}, as the schedule has it '
        'after as many epochs, ' +
        ('scaled to the batch size.'
         if scaled else 'not scaled to the batch size (no --auto-scale-lr).'),
        f'Random states of ranks from {now} on are dropped.' if before > now
        else f'Ranks from {before} on have no saved random state: they start '
        'from the seed.',
        'The result is not that of a training by one number of processes.',
    ]
    return ' '.join(lines)
