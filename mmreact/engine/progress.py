"""What is known of a run while it trains, and the summary at the end."""
import json
import resource
import sys
from datetime import timedelta
from pathlib import Path
from typing import List

import torch

from .atomic_backend import AtomicLocalBackend

#: In the work directory; survives kills, unlike what is in checkpoints only.
FILE = 'progress.json'


def read_progress(work_dir: Path) -> dict:
    """What :class:`mmreact.engine.ProgressHook` has written, {} if nothing.

    Keys: ``seconds`` (of training and validation, over all sessions),
    ``epoch``, ``log`` (the newest file), ``one_bit`` (whether the network has
    1-bit weights), ``metric`` with its ``best``, ``best_epoch`` and ``last``.
    """
    try:
        found = json.loads((Path(work_dir) / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_progress(work_dir: Path, progress: dict) -> None:
    """Write it whole or not at all."""
    AtomicLocalBackend().put_text(
        json.dumps(progress, indent=1),
        Path(work_dir) / FILE)


def duration(seconds: float) -> str:
    """``h:mm:ss``, with days where there are some."""
    return str(timedelta(seconds=round(seconds)))


def memory() -> str:
    """Peak memory of this process: on its GPU if it has one, else resident."""
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
        return f'{peak / 2**30:.2f} GiB on the GPU'
    unit = 1 if sys.platform == 'darwin' else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f'{peak / 2**30:.2f} GiB resident'


def later(runs: List) -> dict:
    """What a run's ProgressHook has to know of the runs after it.

    Args:
        runs (list[Run]): The run, and those after it that are not complete.
    """

    def data(run):
        dataset = run.cfg.train_dataloader.dataset.to_dict()
        return {k: v for k, v in dataset.items() if k != 'pipeline'}

    known = [
        run.cfg.train_cfg.max_epochs for run in runs[1:]
        if 'max_epochs' in run.cfg.train_cfg and data(run) == data(runs[0])
    ]
    return dict(
        later_epochs=sum(known), later_unknown=len(runs) - 1 - len(known))


def summary(runs: List) -> str:
    """Each run's accuracy, time, checkpoint and log, and what to do next.

    Args:
        runs (list[Run]): A plan that is complete.
    """
    rows = [('run', 'best (epoch)', 'last', 'time', 'checkpoint')]
    logs = []
    for run in runs:
        found = read_progress(run.work_dir)
        best = last = '-'
        if 'best' in found:
            best = f'{found["best"]:.2f} ({found["best_epoch"]})'
            last = f'{found["last"]:.2f}'
        time = duration(found['seconds']) if 'seconds' in found else '-'
        file = run.final_checkpoint
        rows.append((run.name, best, last, time,
                     str(file) if file.is_file() else 'not needed'))
        if 'log' in found:
            logs.append(f'  {run.name}: {found["log"]}')
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ['Summary (accuracy/top1 in %, where it was validated)']
    lines += [
        '  ' + '  '.join(cell.ljust(w)
                         for cell, w in zip(row, widths)).rstrip()
        for row in rows
    ]
    lines += ['Logs', *logs] if logs else []
    lines += ['Next', *next_commands(runs[-1])]
    return '\n'.join(lines)


def next_commands(run) -> List[str]:
    """How to test, and for a 1-bit network to pack, what a run has trained."""
    # The config with all options, in the format of the one that was given.
    config, *others = (
        run.work_dir / f'{run.name}{suffix}'
        for suffix in ('.py', '.yaml', '.yml', '.json'))
    config = next((path for path in others if path.is_file()), config)
    files = f'{config} {run.final_checkpoint}'
    lines = [f'  python tools/test.py {files}']
    if read_progress(run.work_dir).get('one_bit'):
        lines.append(f'  python tools/deployment/pack.py {files} '
                     f'-o {run.work_dir / run.name}.safetensors')
    return lines
