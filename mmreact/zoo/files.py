"""The files of a network, by its name."""
import hashlib
from pathlib import Path

from .catalogue import info, list_models
from .errors import ZooError
from .rows import ZooFile


def packed_file(name: str) -> Path:
    """The packed file of a network: from the package, or downloaded once.

    Raises:
        ZooError: If there is no such name, or none is published for it.
        DownloadError: If it cannot be had; says what to do.
    """
    file = info(name).packed
    if file is None:
        have = [other for other in list_models() if info(other).packed]
        raise ZooError(
            f'No packed file of {name} is published; there is one of '
            f'{", ".join(have) or "no model yet"}. Pack a checkpoint: '
            'tools/deployment/pack.py CONFIG CHECKPOINT -o OUT.safetensors.')
    return local_file(file)


def checkpoint_file(name: str) -> Path:
    """The checkpoint of a network, downloaded once.

    Raises:
        ZooError: If there is no such name, or none is published for it; says
            what there is instead.
        DownloadError: If it cannot be had; says what to do.
    """
    row = info(name)
    if row.weights is None:
        other = 'None is known elsewhere.'
        if row.original:
            other = (f'Its authors published {row.original.name}: '
                     f'tools/zoo.py download {name} --original gets it, '
                     'tools/zoo.py convert makes a checkpoint of it.')
        elif row.packed:
            other = 'There is a packed file: PackedModel.from_zoo(name).'
        raise ZooError(f'No checkpoint of {name} is published. {other}')
    return local_file(row.weights)


def original_file(name: str) -> Path:
    """The checkpoint that a network's authors published, downloaded once.

    Raises:
        ZooError, DownloadError: As :func:`checkpoint_file`.
    """
    file = info(name).original
    if file is None:
        raise ZooError(f'No checkpoint of the authors of {name} is known.')
    return local_file(file)


def local_file(file: ZooFile) -> Path:
    """A local path: in the package, in the cache, or downloaded into it.

    Raises:
        DownloadError: If it cannot be had; says what to do.
        ZooError: If a file of this package was changed.
    """
    if file.path and Path(file.path).is_file():
        found = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
        if not found.startswith(file.sha256):
            raise ZooError(f'{file.path} was changed: its sha256 is {found}, '
                           f'not {file.sha256}. Install mmreact again.')
        return Path(file.path)
    from .download import fetch
    return fetch(file)
