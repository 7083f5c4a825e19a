"""Read files of ``torch.save`` in bounded memory, without running them.

What a file claims is compared with its size before torch allocates anything:
the sizes of its records and storages, what its pickle calls and with which
arguments (:mod:`.dry_run`). Then ``torch.load(weights_only=True)`` reads it.
"""
import io
import os
import re
from pathlib import Path
from typing import Any, BinaryIO, Iterable

import torch

from ..zoo.file_kinds import file_kind
from .dry_run import DryRun
from .stand_ins import Storage, Tensor
from .torch_archive import RefusedError, TorchArchive

#: How files of torch before 1.6 begin, after the pickle's protocol.
MAGIC = b'\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.'
#: Tensors may be views of one storage, and copies of them larger than it. All
#: copies together have at most so many bytes for each of the file, and more.
COPIES, MORE_BYTES = 4, 1 << 26


def bounded_load(path: Path, map_location: Any = 'cpu') -> Any:
    """What a file of ``torch.save`` holds.

    Takes at most four times the file's size and 1 GB.

    Args:
        path (Path): The file.
        map_location: As of ``torch.load``.

    Raises:
        RefusedError: If it is no such file, is damaged, claims more than it
            holds, or has other objects than tensors and plain values.
    """
    inspect(path)
    try:
        return torch.load(path, map_location, weights_only=True)
    except Exception as error:  # torch raises many kinds
        text = re.sub(r'\x1b\[[0-9;]*m', '', str(error)) or repr(error)
        raise RefusedError(f'is not read by torch: '
                           f'{text.splitlines()[0][:200]}') from error


def inspect(path: Path) -> None:
    """Refuse a file that torch cannot read, or not in bounded memory.

    Raises:
        RefusedError: Says what it is or holds, as a predicate.
    """
    kind = file_kind(path)
    if kind is not None:
        raise RefusedError(kind.rstrip('.'))
    with open(path, 'rb') as f:
        start = f.read(32)
        f.seek(0)
        if start[:4] == b'PK\3\4':
            _inspect_archive(TorchArchive(path))
        elif MAGIC in start:
            _inspect_stream(f)
        elif start[:1] == b'\x80':
            raise RefusedError(
                'is a pickle that torch.save did not write. Load it where it '
                'comes from and save the weights with torch.save')
        else:
            raise RefusedError(f'is no file of torch.save: it begins with '
                               f'the bytes {start[:8].hex(" ")}')


def _inspect_archive(archive: TorchArchive) -> None:
    records = archive.records
    if 'data.pkl' not in records:
        names = ', '.join(name[:40] for name in list(records)[:4])
        raise RefusedError('is a zip archive, but none of torch.save: it '
                           f'holds {names or "nothing"}')
    pickle = DryRun(io.BytesIO(archive.read('data.pkl')), records['data.pkl'])
    pickle.run()
    for key, storage in pickle.storages.items():
        size = records.get(f'data/{key}')
        if size != storage.bytes:
            raise RefusedError(
                f'is damaged: its storage {key[:40]} has {size} bytes, and '
                f'its tensors were told {storage.bytes}')
    _check_copies(pickle.tensors.values(), archive.path.stat().st_size)


def _inspect_stream(f: BinaryIO) -> None:
    """Five pickles, and behind them the storages: a number and values."""
    size = os.fstat(f.fileno()).st_size
    for _ in ('magic', 'protocol', 'machine'):
        DryRun(f, size - f.tell()).run()
    pickle = DryRun(f, size - f.tell())
    pickle.run()
    keys = DryRun(f, size - f.tell()).run()
    storages = pickle.storages
    if not isinstance(keys, list) or sorted(keys) != sorted(storages):
        raise RefusedError('is damaged: it lists other storages than its '
                           'tensors have')
    expected = f.tell() + _bytes(storages.values())
    if size != expected:
        raise RefusedError(f'is damaged: it has {size} bytes, and its tensors '
                           f'were told {expected}')
    _check_copies(pickle.tensors.values(), size)


def _bytes(storages: Iterable[Storage]) -> int:
    return sum(8 + storage.bytes for storage in storages)


def _check_copies(tensors: Iterable[Tensor], size: int) -> None:
    copies = sum(tensor.size for tensor in tensors)
    if copies > COPIES * size + MORE_BYTES:
        raise RefusedError(
            f'has tensors of {copies:,} bytes together, which repeat the '
            f'values of a file of {size:,} bytes')
