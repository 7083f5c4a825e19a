"""Files from elsewhere: cached, checked, one transfer for all who ask.

A file appears under its final name only when its hash was compared, and is
compared again when it is used. Until then it is NAME.part, which the next try
continues. Variables of the environment: ``MMREACT_CACHE`` (the folder),
``MMREACT_ZOO_URL`` (a mirror: all files by name below one address) and
``MMREACT_OFFLINE=1``.
"""
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator
from urllib.parse import quote, urlsplit

from .errors import DownloadError
from .file_kinds import file_kind
from .part_file import arrived
from .progress import progress_bar, say
from .rows import ZooFile
from .share_links import direct_link


def cache_folder() -> Path:
    """``MMREACT_CACHE``, or the user's cache folder."""
    if os.environ.get('MMREACT_CACHE'):
        return Path(os.environ['MMREACT_CACHE']).expanduser()
    from platformdirs import user_cache_path
    return user_cache_path('mmreact', appauthor=False)


def cached_path(file: ZooFile) -> Path:
    """Where a file is or will be, whether it is there or not.

    Without a hash nothing tells two files of one name apart, so the address
    takes part in the name.
    """
    name = file.name
    if not file.sha256 and file.url:
        name = f'{hashlib.sha256(file.url.encode()).hexdigest()[:8]}-{name}'
    return cache_folder() / name


def source_address(file: ZooFile) -> str:
    """Where a file is fetched from: the mirror, or where it is published.

    Raises:
        DownloadError: If there is no such place.
    """
    mirror = os.environ.get('MMREACT_ZOO_URL')
    url = (f'{mirror.rstrip("/")}/{quote(file.name)}'
           if mirror else direct_link(file.url or ''))
    if urlsplit(url).scheme not in ('http', 'https', 'file'):
        raise DownloadError(
            f'MMREACT_ZOO_URL is {mirror!r}, not an address that starts with '
            'https://, http:// or file://.' if mirror else
            f'{file.name} is published at no address. Put it there: '
            f'{cached_path(file)}')
    return url


def fetch(file: ZooFile) -> Path:
    """Return the local path of a file; it is downloaded at most once.

    Raises:
        DownloadError: If it cannot be had; says what to do. Nothing is left
            under its name.
    """
    path = cached_path(file)
    if is_in_order(path, file):
        return path
    url = source_address(file)
    if _is_offline() and urlsplit(url).scheme != 'file':
        raise DownloadError(
            f'{file.name} is not in the cache (or not whole), and '
            'MMREACT_OFFLINE is set. Download it elsewhere and put it there: '
            f'{path}. Its address: {url}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            if not is_in_order(path, file):  # another process may have come
                _download(url, path, file)
    except OSError as error:
        raise DownloadError(
            f'Cannot write {path}: {error.strerror or error}. MMREACT_CACHE '
            'names another folder.') from error
    return path


def _is_offline() -> bool:
    return os.environ.get('MMREACT_OFFLINE',
                          '').lower() in ('1', 'true', 'yes', 'on')


def is_in_order(path: Path, file: ZooFile) -> bool:
    """Whether the file is there and is the one that the catalogue names."""
    return (path.is_file() and file.bytes in (None, path.stat().st_size)
            and (not file.sha256 or file_hash(path).startswith(file.sha256)))


def file_hash(path: Path) -> str:
    """The sha256 of a file, in hex digits."""
    found = hashlib.sha256()
    with open(path, 'rb') as f:
        while chunk := f.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time write a file.

    The operating system takes the lock from a process that dies, so that a
    lock file that lies about holds up nobody.
    """
    from filelock import FileLock, Timeout
    lock_file = path.with_name(f'{path.name}.lock')
    if lock_file.is_symlink():  # locking would empty what it points to
        raise DownloadError(f'{lock_file} is a link. Remove it, or set '
                            'MMREACT_CACHE to another folder.')
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        say(f'Waiting for another process that downloads {path.name} '
            f'({lock.lock_file}).')
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _download(url: str, path: Path, file: ZooFile) -> None:
    """Transfer, check, and only then give the file its name."""
    from .transfer import transfer
    part = path.with_name(f'{path.name}.part')
    resume = bool(file.sha256)
    continued = resume and bool(arrived(part))
    say(f'Downloading {url} to {path}')
    with progress_bar(file.name) as report:
        transfer(url, part, file.bytes, resume, report)
    try:
        _check(url, part, file)
    except DownloadError:
        part.unlink()
        if not continued:
            raise
        # The part was of another file, or the server's file has changed.
        _download(url, path, file)
        return
    with open(part, 'rb') as f:
        os.fsync(f.fileno())
    os.replace(part, path)


def _check(url: str, part: Path, file: ZooFile) -> None:
    """Raise a DownloadError if this is not the file that was asked for."""
    size = part.stat().st_size
    kind = file_kind(part) or ''
    if 'web page' in kind or 'pointer' in kind:
        raise DownloadError(f'What {url} gives {kind}')
    if not size or file.bytes not in (None, size):
        raise DownloadError(
            f'{url} gave {size} bytes; {file.name} has '
            f'{file.bytes or "some"}. Try again, or use a mirror '
            '(MMREACT_ZOO_URL).')
    found = file_hash(part)
    if not found.startswith(file.sha256):
        raise DownloadError(
            f'{url} is not {file.name}: its sha256 is {found}, expected '
            f'{file.sha256}. It was deleted. Try again; if that does not '
            'help, the file there was changed or damaged: use a mirror '
            '(MMREACT_ZOO_URL).')
