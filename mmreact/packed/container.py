"""Safetensors files of this format: strings by key and arrays by name.

The safetensors library reads and writes them. Around it stand the checks that
it leaves out (duplicate keys, of which it takes the last), errors that say
what a wrong file is, bytes that depend on the content alone, and writing that
leaves a whole file or none.
"""
import json
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Tuple, Union

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..zoo.atomic_file import write_whole

FORMAT = 'mmreact-packed'
#: Raised with every change that an older reader would not understand.
VERSION = 1
#: Longest header that is read. ReActNet-A's has some 50,000 bytes.
MAX_HEADER = 1 << 24
#: Types of tensors in a packed file, as safetensors names them.
DTYPES = ('U64', 'F32', 'F16', 'U8')
#: What the header says of a tensor.
ENTRY = {'dtype', 'shape', 'data_offsets'}
HOW_TO_PACK = ('Packed files are made with python tools/deployment/pack.py '
               'CONFIG CHECKPOINT -o OUT.safetensors.')

Strings = Dict[str, str]
Tensors = Dict[str, np.ndarray]


class PackedFileError(ValueError):
    """A packed file that cannot be read or written: which, and why."""


@contextmanager
def naming(action: str, path: Union[str, Path]) -> Iterator[None]:
    """Turn what goes wrong into a PackedFileError with the file's name."""
    try:
        yield
    except (ValueError, OSError, SafetensorError) as error:
        reason = str(getattr(error, 'strerror', None) or error).rstrip('.')
        # Names in a file may be of any length.
        reason = reason if len(reason) <= 600 else f'{reason[:600]} ...'
        raise PackedFileError(f'Cannot {action} {path}: {reason}.') from error


def parse_json(text: str) -> Any:
    """Parse JSON without duplicate keys, NaN, infinity and lone surrogates.

    Raises:
        ValueError: If it is none.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer)
    except RecursionError:
        raise ValueError('it holds JSON that is nested too deeply') from None
    if re.search(r'\\u[dD][89a-fA-F]', text):
        _check_surrogates(value)
    return value


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError('it holds a lone surrogate in JSON') from None


def _integer(text: str) -> Union[int, float]:
    """Minus zero is not among the integers."""
    return int(text) if text != '-0' else -0.0


def _unique(pairs) -> dict:
    found: dict = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'the key {key!r} occurs twice')
        found[key] = value
    return found


def _no_constant(constant: str):
    raise ValueError(f'{constant} is not JSON')


def read(path: Union[str, Path]) -> bytes:
    """Read a file if its header is in order.

    Raises:
        ValueError, OSError: If it is not, or cannot be read.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError('it is not a file')
    with open(path, 'rb') as f:
        size = os.fstat(f.fileno()).st_size
        start = f.read(9)
        _check_header(start + f.read(_header_size(start, size) - 1), size)
        f.seek(0)
        return f.read()


def loads(data: bytes) -> Tuple[Strings, Tensors]:
    """The metadata and the tensors of a file.

    What is allocated is a small multiple of the bytes that are given.

    Raises:
        ValueError, SafetensorError: If it is not in order.
    """
    return _check_header(data, len(data)), load(data)


def _check_header(data: bytes, size: int) -> Strings:
    """Check a header and return its metadata.

    Args:
        data (bytes): The beginning of a file, at least its header.
        size (int): Number of bytes of the file.
    """
    end = 8 + _header_size(data[:9], size)
    header = parse_json(data[8:end].decode())
    metadata = header.pop('__metadata__', {})
    if not isinstance(metadata, dict) or not all(
            isinstance(value, str) for value in metadata.values()):
        raise ValueError('its metadata are not strings')
    _check_version(metadata)
    _check_entries(header, size - end)
    return metadata


def _header_size(start: bytes, size: int) -> int:
    """The length of the header, from the first nine bytes of a file."""
    pickled = start[:1] == b'\x80' and start[8:] != b'{'
    if start[:4] == b'PK\3\4' or pickled:
        raise ValueError(
            'it is a PyTorch checkpoint or another pickle or zip file, which '
            f'could run code and is not opened. {HOW_TO_PACK}')
    length = int.from_bytes(start[:8], 'little')
    if start[8:] != b'{' or length > MAX_HEADER:
        raise ValueError(f'it is not a safetensors file, or cut off ({size} '
                         'bytes)')
    if length > size - 8:
        raise ValueError(f'it is cut off: {size} bytes, and its header alone '
                         f'has {length}')
    return length


def _check_version(metadata: Strings) -> None:
    if metadata.get('format') != FORMAT:
        raise ValueError('it is a safetensors file, but not a packed network '
                         f'of mmreact. {HOW_TO_PACK}')
    text = metadata.get('format_version', '')
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise ValueError(f'the format version {text[:20]!r} is not a number')
    if int(text) > VERSION:
        raise ValueError(
            f'it was written by a newer mmreact (format version {text}; this '
            f'one reads {VERSION}). Update it: pip install --upgrade mmreact')
    if int(text) < 1:
        raise ValueError(f'there is no format version {text}')


def _check_entries(header: Mapping, size: int) -> None:
    """Check types and length; shapes and offsets the library checks."""
    needed = 0
    for name, entry in header.items():
        if isinstance(entry, dict) and not set(entry) <= ENTRY:
            raise ValueError(f'the tensor {name!r} has a wrong entry')
        if not isinstance(entry, dict) or entry.get('dtype') not in DTYPES:
            raise ValueError(f'the tensor {name!r} is none of '
                             f'{", ".join(DTYPES)}')
        offsets = entry.get('data_offsets')
        if isinstance(offsets, list):
            needed = max([needed, *(n for n in offsets if type(n) is int)])
    if needed > size:
        raise ValueError(f'it is cut off: {size} of {needed} bytes of tensors')
    if needed < size:
        raise ValueError(f'it has {size - needed} bytes behind its tensors')


def dumps(metadata: Strings, tensors: Tensors) -> bytes:
    """The bytes of a file; equal content gives equal bytes."""
    metadata = dict(metadata, format=FORMAT, format_version=str(VERSION))
    data = save({
        k: np.ascontiguousarray(v)
        for k, v in tensors.items()
    }, metadata)
    end = 8 + _header_size(data[:9], len(data))
    header = json.loads(data[8:end])
    # The library's order is that of a hash with a random seed.
    header['__metadata__'] = dict(sorted(metadata.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(',', ':'))
    encoded = text.encode()
    encoded += b' ' * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, 'little') + encoded + data[end:]


def write(path: Union[str, Path], data: bytes) -> None:
    """Write a file; a reader sees all of it or the one that was there.

    Raises:
        OSError: If it cannot be written. Nothing is left then.
    """
    write_whole(path, data)
