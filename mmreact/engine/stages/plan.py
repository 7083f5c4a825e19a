"""Which runs a config needs, in order.

A config names what has to be trained before it::

    start_from = dict(config='reactnet-a-stage1_8xb32_in1k.py')
    model = dict(teacher=dict(config='../resnet/some-teacher.py'))

``start_from`` is the run whose last checkpoint it starts from (or
``dict(checkpoint=...)``, a file); the teacher is a run too, or a checkpoint.
Where a config is looked up: :mod:`mmreact.utils.config_files`; what a config
changes in the runs before it: :mod:`~.shared_keys`.
"""
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Union

import torch
from mmengine.config import Config

from ...utils.checkpoint import is_url
from ...utils.config_files import find_config, read_config
from ...utils.config_options import change_config
from ..checkpoint_files import list_checkpoints
from .shared_keys import SharedKeys, read_shared_keys


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
        """Change the config of the run ``name``.

        What flags ask for is done to the config that options have made.
        """
        change_config(cfg, self.everywhere, self.data_root)
        change_config(cfg, self.by_run.get(name))
        if self.amp:
            gpu = torch.cuda.is_available()
            cfg.optim_wrapper.type = ('AmpOptimWrapper'
                                      if gpu else 'CPUAmpOptimWrapper')
            if gpu:
                cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        if not self.validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        if self.auto_scale_lr:
            if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
                raise ValueError(
                    f'--auto-scale-lr needs auto_scale_lr.base_batch_size in '
                    f'the config of {name}.')
            cfg.auto_scale_lr.enable = True


def default_work_dir(cfg: Config, path: Union[str, Path]) -> Path:
    """Where the results of a config file go."""
    return Path(cfg.get('work_dir') or Path('work_dirs', Path(path).stem))


def make_plan(config: Union[str, Path],
              work_dir: Optional[Union[str, Path]] = None,
              options: Optional[Options] = None,
              start_from: Optional[str] = None,
              teacher: Optional[str] = None) -> List[Run]:
    """List the runs that lead to a config, the config's own run last.

    Args:
        config (str | Path): Config file to train.
        work_dir (str | Path, optional): Of the last run; the others get a
            folder of their config's name below it. Defaults to the config's
            ``work_dir``, else to ``work_dirs/<config name>``.
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
    planner = _Planner(options or Options(), teacher, work_dir
                       and Path(work_dir))
    path = Path(config).expanduser()
    planner.add(path.resolve(), start_from=start_from)
    names = [run.name for run in planner.done.values()]
    unknown = sorted(set(planner.options.by_run) - set(names))
    if unknown:
        raise ValueError(f'--cfg-options for {", ".join(unknown)}: there is '
                         f'no such run. Runs: {", ".join(names)}.')
    return list(planner.done.values())


class _Planner:
    """Depth-first walk over prerequisites; a shared one is run once."""

    def __init__(self, options: Options, teacher: Optional[str],
                 work_dir: Optional[Path]):
        self.options = options
        self.teacher = teacher
        self.work_dir = work_dir  # of the config's own run
        self.names: Dict[Path, str] = {}
        self.open: List[Path] = []
        self.done: Dict[Path, Run] = {}
        self.handed: Dict[Path, SharedKeys] = {}

    def add(self,
            path: Path,
            handed: SharedKeys = SharedKeys(),
            start_from: Optional[str] = None) -> Run:
        if path in self.done:
            if not self.handed[path].includes(handed):
                raise ValueError(
                    f'{path.name} is needed twice, with different values of '
                    'the keys in all_stages and all_runs. Write a config of '
                    'its own for one of both.')
            return self.done[path]
        if path in self.open:
            raise ValueError('These configs need each other in a circle: ' +
                             ' -> '.join(p.name
                                         for p in [*self.open, path]) + '.')
        name = self._name(path)
        cfg = read_config(path)
        handed.apply(name, cfg)
        self.options.apply(name, cfg)
        if self.open:
            work_dir = self.work_dir / name
        else:
            work_dir = self.work_dir or default_work_dir(cfg, path)
            self.work_dir = work_dir
        self.open.append(path)
        run = Run(name, cfg, work_dir)
        shared = read_shared_keys(name, cfg, handed)
        run.start_from = self._start_from(path, cfg, shared, start_from)
        run.teacher = self._teacher(path, cfg, shared.for_teacher())
        self.open.pop()
        self.done[path], self.handed[path] = run, handed
        return run

    def _name(self, path: Path) -> str:
        """The file's stem, after those of its folders if it is taken."""
        name = path.stem
        for folder in path.parents:
            if name not in self.names.values():
                break
            name = f'{folder.name}-{name}'
        self.names[path] = name
        return name

    def _start_from(self, path: Path, cfg: Config, shared: SharedKeys,
                    checkpoint: Optional[str]) -> Optional[Union[Run, Path]]:
        source = cfg.get('start_from') or {}
        if cfg.get('load_from') and source and not checkpoint:
            raise ValueError(
                f'{path.name} has both start_from and load_from. Remove one, '
                'or give a checkpoint with --from.')
        checkpoint = checkpoint or source.get('checkpoint') or cfg.get(
            'load_from')
        if checkpoint:  # an address would lose a slash
            return checkpoint if is_url(checkpoint) else Path(checkpoint)
        if source.get('config'):
            source.config = str(self._find(source.config, path))
            return self.add(Path(source.config), shared)
        return None

    def _teacher(self, path: Path, cfg: Config,
                 shared: SharedKeys) -> Optional[Union[Run, str]]:
        teacher = cfg.model.get('teacher')
        if teacher is None:
            return None
        config, replaced = teacher.get('config'), self.teacher
        if config:
            teacher.config = str(self._find(config, path))
            if Path(teacher.config) in self.done:
                replaced = None  # the plan trains this one anyway
        checkpoint = replaced or teacher.get('checkpoint')
        if checkpoint:
            return checkpoint if is_url(checkpoint) else str(
                Path(checkpoint).resolve())
        return self.add(Path(teacher.config), shared) if config else None

    def _find(self, name: str, path: Path) -> Path:
        """The config that another one needs.

        A name that is relative was not read from a file, but given with
        ``--cfg-options``.
        """
        found = find_config(name, path)
        if not found.is_file() and Path(name).is_file():
            found = Path(name).resolve()
        if not found.is_file():
            raise FileNotFoundError(
                f'{path.name} needs the config {found.name}, and there is '
                f'neither {found} nor one in a folder above.')
        return found
