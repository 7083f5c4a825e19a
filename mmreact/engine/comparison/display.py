"""Say how far a comparison is."""
import sys
from typing import List

from .trials import Trial


class Display:
    """A bar on terminals, a line for each event elsewhere (standard error).

    Args:
        total (int): Number of trainings.
    """

    def __init__(self, total: int):
        from rich.console import Console
        from rich.progress import (BarColumn, MofNCompleteColumn, Progress,
                                   TextColumn, TimeElapsedColumn,
                                   TimeRemainingColumn)
        console = Console(stderr=True)
        self.bar = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn('{task.description}'),
            console=console,
            disable=not console.is_terminal)
        self.total, self.done = total, 0
        self.task = self.bar.add_task('', total=total)
        self.running: List[Trial] = []

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def __call__(self, trial: Trial, event: str) -> None:
        """Take an event of :class:`.launch.Launcher`."""
        if event == 'started':
            self.running.append(trial)
        else:
            self.done += 1
            self.running = [t for t in self.running if t is not trial]
        self.bar.update(
            self.task, completed=self.done, description=self._description())
        if self.bar.disable or event == 'failed':
            print(
                f'[{self.done}/{self.total}] {trial.method} seed {trial.seed}:'
                f' {event} ({trial.work_dir})',
                file=sys.stderr,
                flush=True)

    def _description(self) -> str:
        return ', '.join(f'{trial.method} seed {trial.seed}'
                         for trial in self.running)
