"""Write files whole or not at all."""
import errno
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

from ..zoo.atomic_file import write_whole

CHUNK = 1 << 24  # bytes


@register_backend('atomic')
class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, written to a temporary file and renamed.

    With ``CheckpointHook(backend_args=dict(backend='atomic'))`` a kill or a
    full disk while a checkpoint is written leaves the one before untouched
    and nothing under the new name. What was written is read back before it
    gets its name.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes; a reader sees all of them or the file as it was.

        Raises:
            OSError: If they cannot be written, e.g. on a full disk, or are
                not what is read back. Names the file.
        """
        write_whole(filepath, obj, verify)

    def put_text(self,
                 obj: str,
                 filepath: Union[str, Path],
                 encoding: str = 'utf-8') -> None:
        """Write text, see :meth:`put`."""
        self.put(obj.encode(encoding), filepath)


def verify(path: Path, expected: bytes) -> None:
    """Read a file back and compare it with what was written, in pieces.

    Raises:
        OSError: If it is another; names the first piece that differs.
    """
    start = 0
    with open(path, 'rb') as f:
        while chunk := f.read(CHUNK):
            if chunk != expected[start:start + len(chunk)]:
                break
            start += len(chunk)
    if start != len(expected):
        raise OSError(
            errno.EIO, f'What was written is not what is read back, from byte '
            f'{start} of {len(expected)} on; check the disk', str(path))
