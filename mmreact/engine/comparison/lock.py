"""One training at a time in a work directory."""
import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional


@contextmanager
def hold(work_dir: Path) -> Iterator[Optional[int]]:
    """Lock a work directory; gives None if a process trains there already.

    The lock belongs to an open file: a training that inherits it holds it
    until it ends, also when what started it is gone.
    """
    file = os.open(work_dir / '.lock', os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    except BlockingIOError:
        yield None
    finally:
        os.close(file)


def is_held(work_dir: Path) -> bool:
    """Whether a process trains in a work directory."""
    if not (work_dir / '.lock').is_file():
        return False
    with hold(work_dir) as lock:
        return lock is None
