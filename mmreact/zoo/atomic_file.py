"""Write a file whole or not at all, in folders that others can write to.

The bytes go to a new file beside it, whose name nobody can foresee and which
no link can stand in for, and only then take the file's name. What a killed
process left is removed when the next file is written there.
"""
import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Callable, Optional, Union
from uuid import uuid4

#: Seconds without a change after which a file that nobody holds is a leftover.
STALE = 60
Verify = Callable[[Path, bytes], None]
NAME = re.compile(r'\..+\.[0-9a-f]{32}\.writing')


def write_whole(path: Union[str, Path],
                data: bytes,
                verify: Optional[Verify] = None) -> None:
    """Write a file; a reader sees all of it or the one that was there.

    A link of that name is replaced, not followed; permissions of a file that
    was there stay.

    Args:
        path (str | Path): The file.
        data (bytes): What it will hold.
        verify (Callable, optional): Called with the written file and the data
            before it gets its name.

    Raises:
        OSError: If it cannot be written. Names the file; nothing is left, and
            what was there is untouched.
    """
    path = Path(path)
    # Not tempfile: its files are readable by their owner only.
    temporary = path.with_name(f'.{path.name[:50]}.{uuid4().hex}.writing')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        with open(temporary, 'xb') as f:
            _hold(f.fileno())
            _take_permissions(f.fileno(), path)
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
            if verify is not None:
                verify(temporary, data)
            os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            error.errno, f'Cannot be written ({error.strerror}); what was '
            'there before is untouched', str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_leftovers(folder: Union[str, Path], age: float = STALE) -> None:
    """Remove what killed processes left half written in a folder.

    Files that a living process holds stay, and those of other users.

    Args:
        folder (str | Path): The folder.
        age (float): Seconds since their last change.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if NAME.fullmatch(entry.name) and _is_left(entry, age):
                with suppress(OSError):
                    os.unlink(entry.path)


def _is_left(entry: os.DirEntry, age: float) -> bool:
    with suppress(OSError):
        state = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(
                state.st_mode) or (time.time() - state.st_mtime
                                   < age) or (hasattr(os, 'getuid')
                                              and state.st_uid != os.getuid()):
            return False
        descriptor = os.open(entry.path, os.O_RDONLY | _NO_LINKS)
        try:
            return _hold(descriptor)
        finally:
            os.close(descriptor)
    return False


_NO_LINKS = getattr(os, 'O_NOFOLLOW', 0)


def _hold(descriptor: int) -> bool:
    """Lock a file as long as it is open; whether nobody else holds it.

    Where the system cannot lock files, age alone decides.
    """
    try:
        import fcntl
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def _take_permissions(descriptor: int, path: Path) -> None:
    with suppress(OSError, AttributeError):
        state = os.lstat(path)
        if stat.S_ISREG(state.st_mode):
            os.fchmod(descriptor, stat.S_IMODE(state.st_mode))
