"""Say on standard error what is downloaded; a bar where that is a terminal."""
import sys
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

Report = Callable[[int, Optional[int]], None]


def say(text: str) -> None:
    """A line on standard error: standard output may be a tool's JSON."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(name: str) -> Iterator[Report]:
    """Give ``report(done, total)``, both in bytes; the total may be None."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (BarColumn, DownloadColumn, Progress, TextColumn,
                               TimeRemainingColumn, TransferSpeedColumn)
    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn(),
               TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(
            task, completed=done, total=total)
