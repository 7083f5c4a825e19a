"""Run a plan: what is missing, in order."""
import gc
import time
from copy import deepcopy
from pathlib import Path
from typing import List, Optional

import torch
from mmengine.dist import (broadcast_object_list, get_world_size, init_dist,
                           is_distributed, is_main_process)
from mmengine.registry import init_default_scope
from mmengine.runner import BaseLoop, Runner

from ... import compat
from ...utils.checkpoint import CheckpointError, local_checkpoint, verify_file
from ...utils.input_errors import input_errors
from ..checkpoint_files import last_good
from ..loaders import leave_workers_out
from ..progress import later, summary
from .checks import check_plan
from .fingerprint import (check_same_training, make_fingerprint, read_record,
                          write_record)
from .plan import Run
from .trainable import check_trainable


def start_distributed(launcher: str, dist_cfg: Optional[dict] = None) -> None:
    """Join the other processes of ``--launcher``, if any.

    On machines without a GPU this is gloo.
    """
    if launcher == 'none' or is_distributed():
        return
    if torch.cuda.is_available():
        init_dist(launcher, **(dist_cfg or dict(backend='nccl')))
    else:
        compat.init_cpu_distributed(launcher)


def from_rank_0(function, *args):
    """Call a function on rank 0 and give its result to all ranks.

    An exception is raised on all ranks, so that none waits for the others.
    """
    result = [None, None]
    if is_main_process():
        try:
            result = [function(*args), None]
        except Exception as error:
            result = [None, error]
    broadcast_object_list(result)
    if result[1] is not None:
        raise result[1]
    return result[0]


def train_plan(runs: List[Run],
               resume: Optional[str] = None,
               reset_head: bool = False,
               launcher: str = 'none') -> Path:
    """Train the runs of a plan that are not complete.

    Args:
        runs (list[Run]): From :func:`make_plan`, prerequisites first.
        resume (str, optional): 'auto' continues interrupted runs from their
            last checkpoint; a checkpoint file continues the last run from it.
            Without it, and without ``resume`` in the last run's config, an
            interrupted run stops with an error.
        reset_head (bool): The last run takes all but the classifier from
            what it starts from.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        Path: The last run's final checkpoint.

    Raises:
        FingerprintError: If a work directory belongs to another training.
        RuntimeError: If a run was interrupted and ``resume`` is not given.
        FileNotFoundError, ValueError, CheckpointError: See
            :func:`check_plan`.
    """
    if resume is None and runs[-1].cfg.get('resume'):
        resume = 'auto'
    start_distributed(launcher, runs[-1].cfg.get('env_cfg',
                                                 {}).get('dist_cfg'))
    init_default_scope(runs[-1].cfg.get('default_scope') or 'mmpretrain')
    with input_errors():
        for run in runs:
            check_trainable(run.name, run.cfg)
        from_rank_0(_check_work_dirs, runs, resume)
        needed = from_rank_0(_needed, runs)
        from_rank_0(check_plan, [run for run in runs if run.name in needed],
                    reset_head)
    for number, run in enumerate(runs, 1):
        main = run is runs[-1]
        checkpoint = resume if main and resume != 'auto' else None
        action = dict(
            do='skip', say='complete' if _is_complete(run) else 'not needed')
        if run.name in needed:
            action = from_rank_0(_decide, run, checkpoint)
        if is_main_process():
            print(
                f'[{number}/{len(runs)}] {run.name}: {action["say"]} '
                f'({run.work_dir})',
                flush=True)
        if action['do'] != 'skip':
            action['progress'] = dict(
                number=number,
                total=len(runs),
                **later([r for r in runs[number - 1:] if r.name in needed]))
            _train(run, action, reset_head and main, launcher)
    if is_main_process():
        print(summary(runs), flush=True)
    return runs[-1].final_checkpoint


def _check_work_dirs(runs: List[Run], resume: Optional[str]) -> None:
    """Check that what the work directories hold may be used or continued."""
    if resume not in (None, 'auto'):
        verify_file(resume)
    for run in runs:
        last = run.last_checkpoint()
        if last is None:
            continue
        check_same_training(run)
        if resume is None and not _is_complete(run):
            raise RuntimeError(
                f'{run.work_dir} holds an unfinished training ({last.name} '
                f'of {run.final_checkpoint.name}). Continue it with --resume, '
                'or start anew in another --work-dir.')


def _is_complete(run: Run) -> bool:
    """Whether a run's final checkpoint is there, and whole."""
    if read_record(run.work_dir) is None:
        return False
    try:
        verify_file(run.final_checkpoint)
    except CheckpointError:
        return False
    return True


def _needed(runs: List[Run]) -> List[str]:
    """Names of the runs that are not complete and that lead to the last one.

    What a complete run was made from is not needed, even if it is gone.
    """
    needed: List[str] = []
    open_runs = [runs[-1]]
    while open_runs:
        run = open_runs.pop()
        if not _is_complete(run):
            needed.append(run.name)
            open_runs += [
                source for source in (run.start_from, run.teacher)
                if isinstance(source, Run)
            ]
    return needed


def _decide(run: Run, checkpoint: Optional[str]) -> dict:
    """How to train a run, and with which seed; records it if it is new."""
    passed_over: List[str] = []
    if checkpoint is None:
        checkpoint, passed_over = last_good(run.checkpoints())
    record = read_record(run.work_dir) if run.checkpoints() else None
    seed = run.cfg.get('randomness', {}).get('seed')
    if seed is None:
        seed = record['seed'] if record else int(time.time_ns() % 2**31)
    now = get_world_size()
    before = record['fingerprint']['num_processes'] if record else now
    earlier = record.get('earlier_processes', []) if record else []
    if before != now:
        earlier = [*earlier, before]
    write_record(run.work_dir, make_fingerprint(run, now), seed, earlier)
    for error in passed_over:
        print(f'WARNING: {error} Going back to the one before.', flush=True)
    if checkpoint:
        say = f'resuming from {Path(checkpoint).name}'
        if before != now:
            say += f', processes: {before} -> {now}'
        return dict(
            do='resume', seed=seed, checkpoint=str(checkpoint), say=say)
    return dict(do='start', seed=seed, say='training')


def _train(run: Run, action: dict, reset_head: bool, launcher: str) -> None:
    """Train one run to its end."""
    cfg = deepcopy(run.cfg)  # fingerprints need it as it is
    cfg.work_dir = str(run.work_dir)
    cfg.launcher = launcher
    cfg.default_scope = cfg.get('default_scope') or 'mmpretrain'
    cfg.experiment_name = f'{run.name}_{time.time_ns()}'
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=action['seed'])
    cfg.resume = action['do'] == 'resume'
    cfg.load_from = action.get('checkpoint')
    if not cfg.resume and run.start_from is not None:
        source = run.start_from
        cfg.load_from = str(
            source.final_checkpoint
            if isinstance(source, Run) else local_checkpoint(source))
    cfg.pop('start_from', None)  # the record names what it became
    if run.teacher is not None:
        source = run.teacher
        cfg.model.teacher.checkpoint = str(
            source.final_checkpoint if isinstance(source, Run) else source)
        _use_config_of(source, cfg)
    hooks = [
        hook for hook in cfg.get('custom_hooks') or []
        if hook['type'] != 'StrictLoadHook'
    ]
    cfg.custom_hooks = [
        dict(type='StrictLoadHook', reset_head=reset_head),
        dict(type='ResumeScheduleHook'), *hooks
    ]
    if is_distributed() and not torch.cuda.is_available():
        cfg.setdefault('model_wrapper_cfg', compat.cpu_model_wrapper())
    progress = cfg.get('default_hooks', {}).get('progress')
    if progress is not None:
        progress.update(action['progress'])
    if cfg.train_cfg.pop('by_epoch', False):
        cfg.train_cfg.type = 'ResumableTrainLoop'
    leave_workers_out(cfg)
    runner = Runner.from_cfg(cfg)
    try:
        runner.train()
    finally:
        _stop_workers(runner)
    del runner
    gc.collect()  # the model, before the next run
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _stop_workers(runner: Runner) -> None:
    """Stop persistent workers, which live as long as the loader's iterator.

    Left to the garbage collector, their queues are closed before they are
    told to stop, and each is waited for in vain for 5 seconds.
    """
    for loop in (runner._train_loop, runner._val_loop):
        iterator = getattr(loop.dataloader, '_iterator', None) if isinstance(
            loop, BaseLoop) else None
        if iterator is not None:
            iterator._shutdown_workers()
            loop.dataloader._iterator = None


def _use_config_of(source, cfg) -> None:
    """Build a teacher that was trained here from its resolved config."""
    teacher = cfg.model.teacher
    if isinstance(source, Run):
        teacher.pop('config', None)
        teacher.model = source.cfg.model
        teacher.setdefault('data_preprocessor',
                           source.cfg.get('data_preprocessor'))
