"""What trainings have reached, read from their work directories."""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence

from ...analysis.seeds import Sample
from ..atomic_backend import AtomicLocalBackend
from ..progress import read_progress
from .lock import is_held
from .trials import Trial

#: In each work directory: how the last attempt ended.
FILE = 'trial.json'
#: Of each training, its output over all attempts.
OUTPUT = 'output.txt'


@dataclass(frozen=True)
class Result:
    """One training: ``value`` is None unless it is complete.

    ``status`` is 'complete', 'failed', 'interrupted', 'running' or 'missing'.
    """
    trial: Trial
    status: str
    value: Optional[float] = None
    seconds: Optional[float] = None
    note: str = ''


def read_record(work_dir: Path) -> dict:
    """How the last attempt ended; {} where nothing readable is recorded."""
    try:
        record = json.loads((work_dir / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(work_dir: Path, **record) -> None:
    """Record an attempt, whole or not at all."""
    AtomicLocalBackend().put_text(
        json.dumps(record, indent=1) + '\n', work_dir / FILE)


def read_result(trial: Trial, metric: str, best: bool = False) -> Result:
    """Read what one training has reached.

    Args:
        metric (str): A name in MMEngine's log, e.g. 'accuracy/top1'.
        best (bool): The best validation instead of the last one. On a test
            set that is a choice by the test set.
    """
    status = read_record(trial.work_dir).get('status', 'missing')
    if status == 'running' and not is_held(trial.work_dir):
        status = 'interrupted'  # killed, and what started it too
    if status != 'complete':
        return Result(trial, status, note=_last_line(trial.work_dir))
    values = validations(trial.work_dir, metric)
    seconds = read_progress(trial.work_dir).get('seconds')
    if not values:
        return Result(trial, status, None, seconds,
                      f'its log has no {metric}; see --metric')
    value = max(values) if best else values[-1]
    return Result(trial, status, value, seconds)


def validations(work_dir: Path, metric: str) -> List[float]:
    """All values of a metric that MMEngine has logged, in order."""
    values = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # cut off by a kill
                continue
            if isinstance(entry.get(metric), (int, float)):
                values.append(float(entry[metric]))
    return values


def _last_line(work_dir: Path) -> str:
    """The last line of a training's output, where errors stand."""
    try:
        with open(work_dir / OUTPUT, 'rb') as f:
            f.seek(max(0, f.seek(0, 2) - 4096))
            lines = f.read().decode(errors='replace').split('\n')
    except OSError:
        return ''
    return next((line.strip() for line in reversed(lines) if line.strip()), '')


def make_samples(results: Sequence[Result]) -> List[Sample]:
    """Results by method, in the order in which methods first appear."""
    methods = list(dict.fromkeys(result.trial.method for result in results))
    return [
        _sample(method, [r for r in results if r.trial.method == method])
        for method in methods
    ]


def _sample(method: str, results: Sequence[Result]) -> Sample:
    done = [result for result in results if result.value is not None]
    return Sample(
        method, {result.trial.seed: result.value
                 for result in done},
        tuple(result.seconds for result in done if result.seconds is not None),
        tuple(f'seed {result.trial.seed} {result.status}' +
              (f': {result.note}' if result.note else '') for result in results
              if result.value is None))
