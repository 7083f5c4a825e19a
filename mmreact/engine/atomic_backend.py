"""Write files whole or not at all."""
import os
from pathlib import Path
from typing import Union
from uuid import uuid4

from mmengine.fileio import LocalBackend, register_backend


@register_backend('atomic')
class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, written to a temporary file and renamed.

    With ``CheckpointHook(backend_args=dict(backend='atomic'))`` a kill or a
    full disk while a checkpoint is written leaves the one before untouched
    and nothing under the new name.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes; a reader sees all of them or the file as it was.

        Raises:
            OSError: If they cannot be written, e.g. on a full disk.
        """
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile: its files are readable by their owner only.
        temporary = path.with_name(f'.{path.name}.{uuid4().hex}')
        try:
            with open(temporary, 'xb') as f:
                f.write(obj)
                f.flush()
                os.fsync(f.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def put_text(self,
                 obj: str,
                 filepath: Union[str, Path],
                 encoding: str = 'utf-8') -> None:
        """Write text, see :meth:`put`."""
        self.put(obj.encode(encoding), filepath)
