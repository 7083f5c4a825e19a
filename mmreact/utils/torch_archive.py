"""Look into a zip archive of ``torch.save`` before torch reads it.

torch allocates what the archive says of its records. It writes them as they
are, so that they cannot be larger than the file; a record that was compressed
can unfold to a thousand times its size.
"""
import struct
import zipfile
from pathlib import Path
from typing import Dict, Optional

#: End of central directory, with an empty comment; its zip64 counterpart and
#: the locator of that (PKWARE's APPNOTE, 4.3.14 to 4.3.16).
END, END64, LOCATOR64 = '<4s4H2LH', '<4sQ2H2L4Q', '<4sLQL'
UNKNOWN = 0xffffffff, 0xffff


class RefusedError(ValueError):
    """A file that is not read: what it is or holds, as a predicate."""


class TorchArchive:
    """The records of a checkpoint: their sizes, and one that is read.

    Args:
        path (str | Path): A zip file.

    Attributes:
        records (dict[str, int]): Name without the archive's folder -> bytes.

    Raises:
        RefusedError: If it is truncated, a record is compressed, or the
            records claim more than the file holds.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            number = _check_end(path)
            with zipfile.ZipFile(path) as file:
                entries = file.infolist()
            names = {entry.orig_filename.lower() for entry in entries}
            if not number == len(entries) == len(names) or any(
                    '\0' in name for name in names):
                raise ValueError('a record is there twice, or not at all')
        except (zipfile.BadZipFile, NotImplementedError, ValueError,
                struct.error) as error:
            raise RefusedError(f'is truncated or damaged ({error})') from error
        if any(name.endswith('/constants.pkl') for name in names):
            raise RefusedError(
                'is a TorchScript program. Save the weights of the network '
                'that it was made of: torch.save(model.state_dict(), FILE)')
        for entry in entries:
            stored = entry.compress_type == zipfile.ZIP_STORED
            if not stored or entry.file_size != entry.compress_size:
                raise RefusedError(
                    f'is compressed ({entry.filename[:60]}), which torch.save '
                    'never does: unpacked, it could fill the memory')
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise RefusedError('is damaged: its records are larger together '
                               'than the file')
        self.folder = entries[0].filename.partition('/')[0] if entries else ''
        self.records: Dict[str, int] = {
            entry.filename.removeprefix(f'{self.folder}/'): entry.file_size
            for entry in entries
        }

    def read(self, record: str) -> bytes:
        """A record whose checksum was compared.

        Raises:
            RefusedError: If it is another.
        """
        try:
            with zipfile.ZipFile(self.path) as file:
                return file.read(f'{self.folder}/{record}')
        except (zipfile.BadZipFile, ValueError, EOFError) as error:
            raise RefusedError(f'is damaged ({error})') from error

    def first_damaged(self) -> Optional[str]:
        """The first record whose checksum is another, or None."""
        try:
            with zipfile.ZipFile(self.path) as file:
                return file.testzip()
        except Exception as error:  # zipfile raises many kinds
            return f'{type(error).__name__}: {error}'


def _check_end(path: Path) -> int:
    """The number of records; requires one reading of where their list is.

    zipfile and torch search for it in ways of their own; if the end is the
    last thing in the file and the list lies right before it, they agree.
    """
    size = path.stat().st_size
    with open(path, 'rb') as f:
        f.seek(max(0, size - 98))
        tail = f.read().rjust(98, b'\0')
    mark, _, _, _, number, length, start, comment = struct.unpack(
        END, tail[76:])
    if mark != b'PK\5\6' or comment:
        raise ValueError('it does not end as a zip file of torch does')
    end = size - 22
    mark, _, where, _ = struct.unpack(LOCATOR64, tail[56:76])
    if mark == b'PK\6\7':
        mark, _, _, _, _, _, _, *found = struct.unpack(END64, tail[:56])
        end -= 76
        if mark != b'PK\6\6' or where != end:
            raise ValueError('its end is not in one place')
        for short, long in zip((number, length, start), found):
            if short not in (*UNKNOWN, long):
                raise ValueError('its end says two things')
        number, length, start = found
    if start + length != end:
        raise ValueError('its list of records is not at its end')
    return number
