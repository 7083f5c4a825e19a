"""Run the trainings of a comparison, several at once."""
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from ..preemption import EXIT_CODE
from ..stages import make_plan
from ..stages.fingerprint import flatten
from .lock import hold
from .results import OUTPUT, read_record, write_record
from .trials import Trial

#: Seconds between looks at the trainings.
INTERVAL = 0.2


class Interrupted(Exception):
    """A signal arrived; the trainings have written their checkpoints.

    Args:
        number (int): SIGINT or SIGTERM.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class Launcher:
    """Runs trials that are not complete, at most ``jobs`` at once.

    Each is a process of ``command``. Those that are running when SIGINT or
    SIGTERM arrives are told to stop (SIGTERM), on which they write a
    checkpoint; a second signal kills them.

    Args:
        command (Sequence[str]): What trains, e.g. ``[python, train.py]``.
        arguments (Sequence[str]): More arguments of all trainings.
        jobs (int): How many run at once.
        gpus (Sequence[str]): If given, each running training sees one of
            them (``CUDA_VISIBLE_DEVICES``), in turn.
        report (Callable): Called with a trial and what happens to it:
            'skipped', 'started', 'running elsewhere', 'complete', 'failed'
            or 'interrupted'.
    """

    def __init__(self,
                 command: Sequence[str],
                 arguments: Sequence[str] = (),
                 jobs: int = 1,
                 gpus: Sequence[str] = (),
                 report: Callable[[Trial, str], None] = lambda *_: None):
        self.command = [*command]
        self.arguments = [*arguments]
        self.jobs = jobs
        self.free_gpus = [gpus[i % len(gpus)]
                          for i in range(jobs)] if gpus else [None] * jobs
        self.report = report
        self.running: Dict[subprocess.Popen, tuple] = {}
        self.signals: List[int] = []
        self._digests: Dict[tuple, str] = {}

    def run(self, trials: Sequence[Trial]) -> None:
        """Run all; a training that fails does not stop the others.

        Raises:
            Interrupted: After SIGINT or SIGTERM, when all have ended.
        """
        waiting = list(trials)
        with self._signals():
            while (waiting and not self.signals) or self.running:
                while waiting and self.free_gpus and not self.signals:
                    self._start(waiting.pop(0))
                self._collect()
                time.sleep(INTERVAL if self.running else 0)
        if self.signals:
            raise Interrupted(self.signals[0])

    def _start(self, trial: Trial) -> None:
        record = read_record(trial.work_dir)
        digest = self.digest(trial)
        if record.get('status') == 'complete' and record.get(
                'digest') == digest:
            self.report(trial, 'skipped')
            return
        trial.work_dir.mkdir(parents=True, exist_ok=True)
        with hold(trial.work_dir) as lock:
            if lock is None:
                self.report(trial, 'running elsewhere')
                return
            gpu = self.free_gpus.pop(0)
            write_record(trial.work_dir, status='running', digest=digest)
            self.running[self._spawn(trial, gpu, lock)] = trial, gpu, digest
        self.report(trial, 'started')
        if self.signals:  # one that came before the process was known
            self._send(signal.SIGTERM)

    def _spawn(self, trial: Trial, gpu: Optional[str],
               lock: int) -> subprocess.Popen:
        with open(trial.work_dir / OUTPUT, 'ab') as output:
            return subprocess.Popen(
                self._command_of(trial),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(gpu),
                pass_fds=[lock],  # held until the training ends
                start_new_session=True)  # Ctrl+C is ours to pass on

    def _command_of(self, trial: Trial) -> List[str]:
        words = [
            *self.command,
            str(trial.config), '--work-dir',
            str(trial.work_dir), '--seed',
            str(trial.seed), '--resume', *self.arguments
        ]
        return words + (['--cfg-options', *trial.options]
                        if trial.options else [])

    def _environment(self, gpu: Optional[str]) -> Dict[str, str]:
        env = dict(os.environ, PYTHONUNBUFFERED='1')
        if gpu is not None:
            env['CUDA_VISIBLE_DEVICES'] = gpu
        if self.jobs > 1:  # else each would take all cores
            cores = len(os.sched_getaffinity(0))
            env.setdefault('OMP_NUM_THREADS', str(max(1, cores // self.jobs)))
        return env

    def _collect(self) -> None:
        for process in [p for p in self.running if p.poll() is not None]:
            trial, gpu, digest = self.running.pop(process)
            self.free_gpus.append(gpu)
            code = process.returncode
            stopped = code == EXIT_CODE or (self.signals and code < 0)
            status = 'complete' if code == 0 else (
                'interrupted' if stopped else 'failed')
            write_record(
                trial.work_dir, status=status, digest=digest, exit_code=code)
            self.report(trial, status)

    @contextmanager
    def _signals(self):
        before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._send(signal.SIGKILL)  # after an error of ours

    def _receive(self, number, frame) -> None:
        self.signals.append(number)
        first = len(self.signals) == 1
        self._send(signal.SIGTERM if first else signal.SIGKILL)

    def _send(self, number: int) -> None:
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, number)

    def digest(self, trial: Trial) -> str:
        """What a method is: its configs, options and arguments, hashed.

        A complete training is skipped only if this is what it was.
        """
        key = (trial.config, trial.options)
        if key not in self._digests:
            text = repr(
                (config_texts(trial.config), trial.options, self.arguments))
            self._digests[key] = sha256(text.encode()).hexdigest()[:16]
        return self._digests[key]


def config_texts(config: Path) -> List[str]:
    """A config and those that it needs first, resolved, as text.

    A config that cannot be read stands as it is: training it will say why.
    """
    try:
        return [
            str(sorted(flatten(run.cfg.to_dict()).items()))
            for run in make_plan(config, config.parent)
        ]
    except Exception:
        return [Path(config).read_text(errors='replace')]
