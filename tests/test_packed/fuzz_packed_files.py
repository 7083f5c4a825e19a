"""Load mutated packed files: python fuzz_packed_files.py NUMBER [SEED].

Each is refused with a PackedFileError, or is a program that the reference
runs; in either case soon, and with little memory. Prints how many were
refused, how many were run, and for how many reasons.
"""
import json
import re
import resource
import shutil
import sys
import time
import warnings
from collections import Counter
from copy import deepcopy
from math import prod
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from small_networks import build_packed

from mmreact.packed import (INPUT, PackedFileError, Preprocessing, load_packed,
                            save_packed)
from mmreact.packed.reference import ReferenceBackend

#: Address space beyond what the imports take.
MEMORY = 256 << 20
SECONDS = 2
VALUES = st.sampled_from([
    None, True, False, 0, 1, -1, 2, 3, 1.5, -0.0, 1e39, 1 << 24, 1 << 31,
    1 << 53, 1 << 63, 1 << 64, 10**400, '', 'input', 'stem', 'U64', '1', '\0',
    '\ud800', [], {}, [0], [1, 1], [[]], [-1, 3], [1 << 40, 1 << 40],
    dict(a=1), 'x' * 1000, 'kind', 'sign', 'flatten', 'body.conv.weight'
])  # yapf: disable
ANYWHERE = st.floats(0, 1, exclude_max=True)


def split(data):
    end = 8 + int.from_bytes(data[:8], 'little')
    return data[8:end], data[end:]


def join(text, body):
    return len(text).to_bytes(8, 'little') + text + body


def flip(draw, data):
    """Change some bytes, more often those of the header."""
    data = bytearray(data)
    length = min(draw(st.sampled_from([9, 5000, len(data)])), len(data))
    for _ in range(draw(st.integers(1, 8))):
        data[int(draw(ANYWHERE) * length)] = draw(st.integers(0, 255))
    return bytes(data)


def cut(draw, data):
    return data[:int(draw(ANYWHERE) * len(data))]


def splice(draw, data):
    """Remove, repeat or insert bytes."""
    begin, length = int(draw(ANYWHERE) * len(data)), draw(st.integers(0, 300))
    piece = draw(
        st.sampled_from([
            b'', b'\0' * 8, b'[' * 5000, b'"a":{},', b'\xff\xfe', b'\\ud800',
            data[begin:begin + 2 * length]
        ]))
    return data[:begin] + piece + data[begin + length:]


def lengthen(draw, data):
    """Another length of the header."""
    length = draw(
        st.sampled_from([0, 1, 8, 640, 1 << 20, 1 << 32, (1 << 64) - 1]))
    return length.to_bytes(8, 'little') + data[8:]


def places(value):
    """All ``(container, key)`` below a value of JSON."""
    keys = {dict: lambda v: list(v), list: lambda v: range(len(v))}
    for key in keys.get(type(value), lambda v: ())(value):
        yield value, key
        yield from places(value[key])


def change(draw, value):
    """Replace, remove or copy something in a value of JSON."""
    found = list(places(value))
    container, key = found[int(draw(ANYWHERE) * len(found))]
    what = draw(st.sampled_from(['set', 'set', 'set', 'delete', 'copy']))
    if what == 'set':
        container[key] = deepcopy(draw(VALUES))
    elif what == 'delete':
        del container[key]
    else:
        other, name = found[int(draw(ANYWHERE) * len(found))]
        container[key] = deepcopy(other[name])


def edit_header(draw, data):
    text, body = split(data)
    header = json.loads(text)
    change(draw, header)
    return join(json.dumps(header).encode(), body)


def edit_metadata(draw, data):
    text, body = split(data)
    header = json.loads(text)
    metadata = header['__metadata__']
    key = draw(
        st.sampled_from(['program'] * 5 +
                        ['preprocessing', 'classes', 'source']))
    value = [json.loads(metadata[key])]
    for _ in range(draw(st.integers(1, 3))):
        change(draw, value)
        if not value:
            break
    metadata[key] = json.dumps(value[0] if value else None)
    return join(json.dumps(header).encode(), body)


def edit_numbers(draw, data):
    """Extreme numbers in the tensors."""
    text, body = split(data)
    body = bytearray(body)
    number = draw(
        st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0]))
    at = int(draw(ANYWHERE) * len(body)) // 4 * 4
    body[at:at + 4] = np.float32(number).tobytes()[:len(body) - at]
    return join(text, bytes(body))


WHOLE = [edit_header, edit_metadata, edit_metadata, edit_numbers]
BROKEN = [flip, cut, splice, lengthen]


class Data(bytes):
    """Bytes that hypothesis does not print whole."""

    def __repr__(self):
        return f'{len(self)} bytes'


@st.composite
def mutations(draw, files):
    data = files[draw(st.integers(0, len(files) - 1))]
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        try:
            data = draw(st.sampled_from(WHOLE + BROKEN))(draw, data)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError,
                RecursionError):
            pass  # what an earlier mutation broke cannot be edited
    return Data(data)


def run(packed):
    """Run a program that is not large: its results are as inferred."""
    program = packed.program
    values = program.infer(program.input_shape)
    if sum(prod(v.shape) for v in values.values()) > 100_000:
        return
    x = np.zeros((1, *program.input_shape), np.float32)
    with np.errstate(all='ignore'):
        results = ReferenceBackend(program).run(x, list(values))
    for name, value in values.items():
        assert results[name].shape == value.shape
        assert (results[name].dtype == np.int8) == (value.kind == 'sign')
    assert results[INPUT] is x
    assert isinstance(packed.preprocessing, (Preprocessing, type(None)))


def valid_files(folder):
    """Two small networks in fp32 and fp16."""
    for width, real in ((66, 'fp16'), (2, 'fp32'), (2, 'fp16')):
        save_packed(folder / 'net', build_packed(width=width), real)
        yield Data((folder / 'net').read_bytes())


def load_and_run(path):
    """Returns why the file is refused, None if it is not."""
    begin = time.process_time()
    try:
        run(load_packed(path))
        reason = None
    except PackedFileError as error:
        reason = str(error).removeprefix(f'Cannot load {path}: ')
        assert reason != str(error) and reason.encode()
    assert time.process_time() - begin < SECONDS
    return reason


def limit_memory():
    """MemoryError, or an abort, from here on."""
    used = int(Path('/proc/self/statm').read_text().split()[0])
    limit = used * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        bytearray(2 * MEMORY)
    except MemoryError:
        return
    raise RuntimeError('The limit of the memory has no effect.')


def main(number, start):
    warnings.filterwarnings('error', module='mmreact')
    reasons = Counter()
    folder = Path(mkdtemp(prefix='mmreact-fuzz-'))
    files = list(valid_files(folder))

    @seed(start)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck))
    @given(mutations(files))
    def check(data):
        (folder / 'net').write_bytes(data)
        reason = load_and_run(folder / 'net')
        # Without names and numbers, to count what is different.
        reasons[reason and re.sub("'.*'|[0-9]+", '', reason)[:40]] += 1

    limit_memory()
    try:
        check()
    except BaseException:
        print(f'The file is kept: {folder / "net"}')
        raise
    shutil.rmtree(folder)
    valid = reasons.pop(None, 0)
    print(json.dumps(dict(refused=sum(reasons.values()), valid=valid,
                          reasons=len(reasons))))  # yapf: disable


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
