"""Recognise whether a work directory belongs to this very training."""
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from ...version import __version__
from ..atomic_backend import AtomicLocalBackend
from .plan import Run

FILE = 'fingerprint.json'

#: Config keys that do not change what is learned.
IGNORED = ('work_dir', 'resume', 'load_from', 'launcher', 'log_level',
           'log_processor', 'visualizer', 'vis_backends', 'experiment_name',
           'val_', 'test_', 'default_hooks.logger', 'default_hooks.timer',
           'default_hooks.visualization', 'default_hooks.binary_stats',
           'default_hooks.non_finite', 'default_hooks.progress',
           'train_dataloader.num_workers', 'train_dataloader.pin_memory',
           'train_dataloader.persistent_workers', 'env_cfg',
           'model.teacher.checkpoint', 'model.teacher.config',
           'teacher.config', 'start_from', 'all_stages', 'all_runs')


class FingerprintError(RuntimeError):
    """A work directory that belongs to another training."""


def flatten(value: Any, prefix: str = '') -> Dict[str, Any]:
    """Turn nested dicts and lists into ``{'a.b.0': plain value}``."""
    if isinstance(value, dict):
        items = [(str(k), v) for k, v in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(i), v) for i, v in enumerate(value)]
    else:
        plain = isinstance(value, (str, int, float, bool, type(None)))
        return {prefix: value if plain else str(value)}
    if not items:
        return {prefix: '{}' if isinstance(value, dict) else '[]'}
    flat: Dict[str, Any] = {}
    for key, item in items:
        flat.update(flatten(item, f'{prefix}.{key}' if prefix else key))
    return flat


def make_fingerprint(run: Run, num_processes: int) -> Dict[str, Any]:
    """What a run learns from: its resolved config and its sources.

    Runs that it starts from or learns from enter with their own
    fingerprints, files with the hash of their content.
    """
    flat = flatten(run.cfg.to_dict())
    flat = {key: v for key, v in flat.items() if not key.startswith(IGNORED)}
    # Work directories have it under MMEngine's name.
    if flat.get('default_hooks.checkpoint.type') == 'VerifiedCheckpointHook':
        flat['default_hooks.checkpoint.type'] = 'CheckpointHook'
    flat['num_processes'] = num_processes
    for key in ('start_from', 'teacher'):
        source = getattr(run, key)
        if isinstance(source, Run):
            flat[f'{key} (run {source.name})'] = digest(
                make_fingerprint(source, num_processes))
        elif source is not None:
            exists = os.path.isfile(source)
            flat[f'{key} (checkpoint)'] = hash_file(
                Path(source)) if exists else str(source)
    return flat


def digest(fingerprint: Dict[str, Any]) -> str:
    """A short name of a fingerprint."""
    text = json.dumps(fingerprint, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """sha256 of a file's content."""
    sha = hashlib.sha256()
    with open(path, 'rb') as f:
        while chunk := f.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest()


def read_record(work_dir: Path) -> Optional[dict]:
    """The record of the training that a work directory belongs to.

    Raises:
        FingerprintError: If it is damaged.
    """
    path = work_dir / FILE
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text('utf-8'))
        if set(record) >= {'seed', 'fingerprint'} and isinstance(
                record['fingerprint'].get('num_processes'), int):
            return record
        reason = 'it has other keys'
    except (OSError, ValueError, TypeError, AttributeError,
            RecursionError) as error:
        reason = str(error)
    raise FingerprintError(
        f'{path}, the record of the training here, cannot be used: {reason}. '
        'Bring it back from a copy, or use another --work-dir.')


def write_record(work_dir: Path,
                 fingerprint: Dict[str, Any],
                 seed: int,
                 earlier_processes: Sequence[int] = ()) -> None:
    """Record a training, before it starts or goes on.

    ``earlier_processes`` are the numbers of processes that trained it before,
    where they were others.

    Raises:
        OSError: If the work directory cannot be written to.
    """
    record = dict(version=__version__, seed=seed, fingerprint=fingerprint)
    if earlier_processes:
        record['earlier_processes'] = list(earlier_processes)
    text = json.dumps(record, indent=1, sort_keys=True)
    AtomicLocalBackend().put_text(text, work_dir / FILE)


def differences(old: Dict[str, Any], new: Dict[str, Any]) -> List[str]:
    """The keys that differ, a line each."""
    absent = '(absent)'
    return [
        f'  {key}: {old.get(key, absent)} -> {new.get(key, absent)}'
        for key in sorted(old.keys() | new.keys())
        if old.get(key, absent) != new.get(key, absent)
    ]


def check_same_training(run: Run) -> None:
    """Require that a used work directory belongs to this training.

    The number of processes may be another: see
    :class:`mmreact.engine.hooks.ResumeScheduleHook`.

    Raises:
        FingerprintError: Lists the keys that differ.
    """
    record = read_record(run.work_dir)
    if record is None:
        return
    old = record['fingerprint']
    lines = differences(old, make_fingerprint(run, old['num_processes']))
    if lines:
        raise FingerprintError(
            f'{run.work_dir} holds a training with another config. These keys '
            'differ (there -> now):\n' + '\n'.join(lines) +
            '\nUse the same settings, or another --work-dir.')
