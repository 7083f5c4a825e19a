"""Bring the bytes behind an address into a file, through a bad network.

requests does HTTP. It neither continues a transfer nor obeys Retry-After
between the parts of one, and pooch, which is built on it, deletes the part
that arrived before it tries again; so this loop is our own. What arrives is
not trusted here: :mod:`.download` checks it.
"""
import shutil
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Optional
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from requests.exceptions import ConnectionError, RequestException, Timeout
from urllib3.exceptions import HTTPError, ProtocolError

from ..version import __version__
from .errors import DownloadError
from .part_file import arrived, open_part
from .progress import Report

CHUNK = 1 << 18
#: A file of which no size is known may not fill the disk.
LARGEST = 4 << 30
#: Answers after which another try may help.
TEMPORARY = (408, 429, 500, 502, 503, 504)
MEANING = {
    401: 'it wants a login',
    403: 'it refuses; links expire and owners withdraw files',
    404: 'there is no such file (any more)',
    410: 'the file was removed',
}


@dataclass
class Patience:
    """How long to try; times in seconds.

    Args:
        connect (float): For a connection.
        read (float): Without a byte.
        attempts (int): In a row that bring nothing new.
        pause (float): After the first of them, then twice as long each time.
        longest_wait (float): That a server may ask for (Retry-After).
    """
    connect: float = 10.
    read: float = 30.
    attempts: int = 5
    pause: float = 1.
    longest_wait: float = 60.


PATIENCE = Patience()


class _TryAgain(Exception):
    """What went wrong, and when the server wants to be asked again."""

    def __init__(self, reason: str, wait: Optional[float] = None):
        super().__init__(reason)
        self.wait = wait


def transfer(url: str, part: Path, size: Optional[int], resume: bool,
             report: Report) -> None:
    """Write what an address gives to a file.

    Args:
        url (str): An http(s) or file address.
        part (Path): The file; what is in it already is continued.
        size (int, optional): Bytes that it must have.
        resume (bool): Whether it may be continued. Only files whose hash is
            known may: the address could give another one by now.
        report (Callable): Told ``(done, total)`` bytes.

    Raises:
        DownloadError: If it cannot be had. What arrived stays in ``part``.
        OSError: If it cannot be written.
    """
    if urlsplit(url).scheme == 'file':
        _copy(url, part)
        return
    best, failures = arrived(part), 0
    if best and (not resume or (size and best > size)):
        part.unlink()
        best = 0
    with requests.Session() as session:
        while True:
            have = arrived(part) if resume else 0
            if size and have == size:
                return
            try:
                _request(session, url, part, have, size, report)
                return
            except _TryAgain as error:
                have, reason, wait = arrived(part), str(error), error.wait
            failures = 0 if have > best else failures + 1
            best = max(have, best)
            if failures >= PATIENCE.attempts:
                raise DownloadError(
                    f'{url}: {reason}; {failures} tries brought no more than '
                    f'{best} bytes. Try again later{_kept(best, resume)}, or '
                    'use a mirror (MMREACT_ZOO_URL).')
            if wait is None:
                wait = PATIENCE.pause * 2**max(failures - 1, 0)
            time.sleep(wait)


def _kept(best: int, resume: bool) -> str:
    return ': it continues where it stopped' if best and resume else ''


def _copy(url: str, part: Path) -> None:
    """A file of this machine, which may be a mounted mirror."""
    source = Path(url2pathname(urlsplit(url).path))
    if not source.is_file():
        raise DownloadError(f'There is no file {source} ({url}). Put it '
                            'there, or give another MMREACT_ZOO_URL.')
    arrived(part)
    with open(source, 'rb') as src, open_part(part, 0) as dst:
        shutil.copyfileobj(src, dst, CHUNK)


def _request(session, url, part, have, size, report) -> None:
    """One answer of the server, written behind the ``have`` bytes."""
    headers = {
        'User-Agent': f'mmreact/{__version__}',
        'Accept-Encoding': 'identity',  # sizes are those of the file
    }
    if have:
        headers['Range'] = f'bytes={have}-'
    try:
        with session.get(
                url,
                headers=headers,
                stream=True,
                timeout=(PATIENCE.connect, PATIENCE.read)) as response:
            if response.status_code == 416 and have:
                return  # nothing follows what is there: the hash decides
            have = _check_status(url, response, have)
            total = _total(url, response, have, size)
            _write(url, response, part, have, total, size or LARGEST, report)
    except (ConnectionError, Timeout, HTTPError) as error:
        raise _TryAgain(_reason(error)) from error
    except RequestException as error:
        raise DownloadError(f'{url}: {error}. Check the address.') from error
    if total and arrived(part) < total:  # it gave no length of its own
        raise _TryAgain(f'it stopped after {arrived(part)} of {total} bytes')


def _check_status(url: str, response, have: int) -> int:
    """Return from which byte the answer is."""
    status = response.status_code
    if status in TEMPORARY:
        wait = _retry_after(response.headers.get('Retry-After'))
        if wait and wait > PATIENCE.longest_wait:
            raise DownloadError(
                f'{url}: the server answers {status} and asks to come back in '
                f'{wait:.0f} s. Try again then, or use a mirror '
                '(MMREACT_ZOO_URL).')
        raise _TryAgain(f'the server answers {status} {response.reason}', wait)
    if status not in (200, 206):
        meaning = MEANING.get(status, response.reason)
        raise DownloadError(
            f'{url}: the server answers {status}: {meaning}. Get the file '
            'elsewhere (MMREACT_ZOO_URL, a mirror).')
    kind = response.headers.get('Content-Type', '')
    if kind.split(';')[0].strip().lower() in ('text/html',
                                              'application/xhtml+xml'):
        raise DownloadError(
            f'{url} gives a web page instead of the file: a login, a notice, '
            'or a share link that is none. Open it in a browser and see.')
    if status == 200:
        return 0
    start = response.headers.get('Content-Range', '').partition('-')[0]
    if start.split() != ['bytes', str(have)]:
        raise DownloadError(
            f'{url}: asked for the bytes from {have} on, the server answers '
            f'{response.headers.get("Content-Range")!r}. Use a mirror '
            '(MMREACT_ZOO_URL).')
    return have


def _total(url, response, have, size) -> Optional[int]:
    """Bytes of the whole file, as the server and the catalogue say."""
    length = response.headers.get('Content-Length', '')
    announced = have + int(length) if length.isdigit() else None
    if size and announced and size != announced:
        raise DownloadError(
            f'{url} has {announced} bytes, the catalogue names {size}: it is '
            'another file. Use a mirror (MMREACT_ZOO_URL).')
    return size or announced


def _write(url, response, part, have, total, limit, report) -> None:
    with open_part(part, have) as f:
        # Not iter_content: of a transfer that breaks off, it would lose what
        # came since the last whole chunk.
        while chunk := response.raw.read1(CHUNK):
            have += len(chunk)
            if have > limit:
                raise DownloadError(f'{url} gives more than the {limit} bytes '
                                    'that are allowed. It is another file.')
            f.write(chunk)
            f.flush()  # it stays when this process is killed
            report(have, total)


def _retry_after(text: Optional[str]) -> Optional[float]:
    """Seconds; the header has a number or a date."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0., parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _reason(error: Exception) -> str:
    """In words, what requests wraps several times."""
    if 'timed out' in str(error):
        return (f'no connection within {PATIENCE.connect:g} s, or nothing '
                f'came for {PATIENCE.read:g} s')
    if isinstance(error, ProtocolError):
        return 'the connection broke off'
    return f'no connection ({error})'
