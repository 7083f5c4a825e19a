"""Which runs a config needs, in order.

A config names what has to be trained before it::

    start_from = dict(config='reactnet-a-stage1_8xb32_in1k.py')
    model = dict(teacher=dict(config='../resnet/some-teacher.py'))

``start_from`` is the run whose last checkpoint it starts from (or
``dict(checkpoint=...)``, a file); the teacher is a run too, or a checkpoint.
A config is looked up beside the one that names it and in the folders above.
"""
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Union

import torch
from mmengine.config import Config

from ...utils.checkpoint import is_url
from ..checkpoint_files import list_checkpoints


@dataclass
class Run:
    """One training run: a stage, or the training of a teacher.

    ``start_from`` and ``teacher`` are the runs or the checkpoint files (for
    the teacher also an address) that it needs, None where it needs none.
    """
    name: str
    cfg: Config
    work_dir: Path
    start_from: Optional[Union['Run', Path]] = None
    teacher: Optional[Union['Run', str]] = None

    @property
    def final_checkpoint(self) -> Path:
        """What the work directory holds when the run is complete."""
        train_cfg = self.cfg.train_cfg
        if 'max_epochs' in train_cfg:
            return self.work_dir / f'epoch_{train_cfg.max_epochs}.pth'
        return self.work_dir / f'iter_{train_cfg.max_iters}.pth'

    def checkpoints(self) -> List[Path]:
        """Those in the work directory, newest first. They may be corrupt."""
        kind = self.final_checkpoint.stem.split('_')[0]
        return list_checkpoints(self.work_dir, kind)

    def last_checkpoint(self) -> Optional[Path]:
        """The newest one."""
        return next(iter(self.checkpoints()), None)


@dataclass
class Options:
    """What the command line changes in the configs of all runs.

    Args:
        everywhere (dict): Config options (dotted keys) of all runs.
        by_run (dict[str, dict]): Config options of one run.
        data_root (str, optional): Root of all data sets.
        amp (bool): Mixed precision (bfloat16 on CPUs).
        validate (bool): Evaluate while training.
        auto_scale_lr (bool): Scale the learning rate with the batch size.
    """
    everywhere: dict = field(default_factory=dict)
    by_run: Dict[str, dict] = field(default_factory=dict)
    data_root: Optional[str] = None
    amp: bool = False
    validate: bool = True
    auto_scale_lr: bool = False

    @classmethod
    def from_flags(cls,
                   cfg_options: Optional[dict] = None,
                   seed: Optional[int] = None,
                   deterministic: bool = False,
                   **kwargs) -> 'Options':
        """Sort ``--cfg-options``: ``name:key=value`` goes to one run."""
        options = cls(**kwargs)
        if seed is not None:
            options.everywhere['randomness.seed'] = seed
        if deterministic:
            options.everywhere['randomness.deterministic'] = True
        for key, value in (cfg_options or {}).items():
            name, colon, rest = key.rpartition(':')
            target = options.by_run.setdefault(
                name, {}) if colon else options.everywhere
            target[rest] = value
        return options

    def apply(self, name: str, cfg: Config) -> None:
        """Change the config of the run ``name``."""
        for key in ('train', 'val', 'test'):
            loader = cfg.get(f'{key}_dataloader')
            if loader is not None and self.data_root is not None:
                loader.dataset.data_root = self.data_root
        if self.amp:
            gpu = torch.cuda.is_available()
            cfg.optim_wrapper.type = ('AmpOptimWrapper'
                                      if gpu else 'CPUAmpOptimWrapper')
            if gpu:
                cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        if not self.validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        if self.auto_scale_lr:
            if 'auto_scale_lr' not in cfg:
                raise ValueError(
                    f'--auto-scale-lr needs auto_scale_lr.base_batch_size in '
                    f'the config of {name}.')
            cfg.auto_scale_lr.enable = True
        cfg.merge_from_dict(self.everywhere)
        cfg.merge_from_dict(self.by_run.get(name, {}))


def find_config(name: str, config: Union[str, Path]) -> Path:
    """Find the config ``name`` that the file ``config`` refers to.

    Raises:
        FileNotFoundError: If it is neither beside ``config`` nor in one of
            the folders above.
    """
    folders = Path(config).resolve().parents
    for folder in folders:
        if (folder / name).is_file():
            return (folder / name).resolve()
    raise FileNotFoundError(
        f'{config} needs the config {name}, which is neither in '
        f'{folders[0]} nor in a folder above.')


def make_plan(config: Union[str, Path],
              work_dir: Union[str, Path],
              options: Optional[Options] = None,
              start_from: Optional[str] = None,
              teacher: Optional[str] = None) -> List[Run]:
    """List the runs that lead to a config, the config's own run last.

    Args:
        config (str | Path): Config file to train.
        work_dir (str | Path): Of the last run; the others get a folder of
            their config's name below it.
        options (Options, optional): Changes of the configs.
        start_from (str, optional): Checkpoint file that replaces
            the config's ``start_from``.
        teacher (str, optional): Checkpoint file or address that replaces the
            teacher's training or published weights, in every run but those
            whose teacher the plan trains anyway, to start from it.

    Raises:
        FileNotFoundError: If a config does not exist.
        ValueError: If configs need each other in a circle, or an option is
            for a run that is not in the plan.
    """
    planner = _Planner(Path(work_dir), options or Options(), teacher)
    planner.add(Path(config).resolve(), start_from=start_from)
    names = [run.name for run in planner.done.values()]
    unknown = sorted(set(planner.options.by_run) - set(names))
    if unknown:
        raise ValueError(f'--cfg-options for {", ".join(unknown)}: there is '
                         f'no such run. Runs: {", ".join(names)}.')
    return list(planner.done.values())


class _Planner:
    """Depth-first walk over prerequisites; a shared one is run once."""

    def __init__(self, work_dir: Path, options: Options,
                 teacher: Optional[str]):
        self.work_dir = work_dir
        self.options = options
        self.teacher = teacher
        self.open: List[Path] = []
        self.done: Dict[Path, Run] = {}

    def add(self, path: Path, start_from: Optional[str] = None) -> Run:
        if path in self.done:
            return self.done[path]
        if path in self.open:
            raise ValueError('These configs need each other in a circle: ' +
                             ' -> '.join(p.name
                                         for p in [*self.open, path]) + '.')
        if not path.is_file():
            raise FileNotFoundError(f'There is no config {path}.')
        main = not self.open
        self.open.append(path)
        cfg = Config.fromfile(path)
        self.options.apply(path.stem, cfg)
        work_dir = self.work_dir if main else self.work_dir / path.stem
        run = Run(path.stem, cfg, work_dir)
        run.start_from = self._start_from(path, cfg, start_from)
        run.teacher = self._teacher(path, cfg)
        self.open.pop()
        self.done[path] = run
        return run

    def _start_from(self, path, cfg, checkpoint):
        source = deepcopy(cfg.get('start_from')) or {}
        checkpoint = checkpoint or source.get('checkpoint')
        if checkpoint:
            return Path(checkpoint)
        if source.get('config'):
            return self.add(find_config(source['config'], path))
        return None

    def _teacher(self, path, cfg):
        teacher = cfg.model.get('teacher')
        if teacher is None:
            return None
        config, given = teacher.get('config'), self.teacher
        if config:
            teacher.config = str(find_config(config, path))
            if Path(teacher.config) in self.done:
                given = None  # the plan trains this one anyway
        checkpoint = given or teacher.get('checkpoint')
        if checkpoint:
            return checkpoint if is_url(checkpoint) else str(
                Path(checkpoint).resolve())
        return self.add(Path(teacher.config)) if config else None
