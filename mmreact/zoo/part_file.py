"""The part of a download that has arrived, in a folder that others share.

Whoever can write to the folder can put a link in its place, through which
another file would be overwritten. A part is a file of its own: no link, and
known by no other name.
"""
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import DownloadError

_NO_LINKS = getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_BINARY', 0)


def arrived(part: Path) -> int:
    """How many bytes have arrived; a part that is not ours is removed.

    Raises:
        DownloadError: If something else is there and cannot be removed.
    """
    try:
        state = os.lstat(part)
    except FileNotFoundError:
        return 0
    if stat.S_ISREG(state.st_mode) and state.st_nlink == 1 and _is_ours(state):
        return state.st_size
    try:
        os.unlink(part)
    except OSError as error:
        raise DownloadError(
            f'{part} is no file of this download (a link, a folder, or '
            f'another user\'s) and cannot be removed: {error.strerror}. '
            'Remove it, or set MMREACT_CACHE to another folder.') from error
    return 0


def _is_ours(state: os.stat_result) -> bool:
    return not hasattr(os, 'getuid') or state.st_uid == os.getuid()


def open_part(part: Path, have: int) -> BinaryIO:
    """Open a part to write behind its first ``have`` bytes.

    Raises:
        OSError: If a link has come in its place.
    """
    flags = os.O_RDWR | _NO_LINKS
    if not have:
        with suppress(FileNotFoundError):
            os.unlink(part)
        flags |= os.O_CREAT | os.O_EXCL
    file = open(os.open(part, flags, 0o666), 'r+b')
    file.seek(have)
    return file
