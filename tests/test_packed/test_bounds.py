"""A file costs memory and work in proportion to its bytes, right or wrong."""
import json
import subprocess
import sys
from pathlib import Path

import pytest
from large_json import chain, joined, make
from small_networks import build_packed

from mmreact.packed import PackedFile, Program, load_packed, native, ops
from mmreact.packed.container import dumps
from mmreact.packed.file import to_bytes

SCRIPT = Path(__file__).with_name('large_json.py')
#: Peak of a reader for each byte of the file, and what it needs anyway.
TIMES, BYTES = dict(python=64, native=24), 4_000_000

#: The kinds that cost the most, and some that should not.
MEASURED = [
    'Zeros', 'Objects', 'Nested', 'Wide', 'Keys', 'Duplicates', 'Deep',
    'inputs', 'operations', 'Tensors', 'Dimensions'
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('reader', TIMES)
@pytest.mark.parametrize('kind', MEASURED)
def test_memory(tmp_path, kind, reader):
    if reader == 'native':
        try:
            native.library()
        except ImportError:
            pytest.skip('the compiled library was not built')
    data = make(kind)
    (tmp_path / 'net').write_bytes(data)
    out = subprocess.run([sys.executable, SCRIPT, tmp_path / 'net', reader],
                         check=True,
                         text=True,
                         capture_output=True).stdout
    peak, done = json.loads(out)
    assert done == kind[0].islower()
    assert peak < TIMES[reader] * len(data) + BYTES


def program(operations, output):
    text = json.dumps(
        dict(
            input_shape=[1, 1, 1],
            operations=operations,
            output=output,
            features=[]))
    return dumps(
        dict(program=text, preprocessing='null', classes='[]', source='{}'),
        {})


@pytest.mark.parametrize('data,values', [
    (program([joined(*['input'] * 20_000)], 'a'), 20_000),
    (program(chain(2000), 'n1999'), 2000 * 9),
    (to_bytes(PackedFile(build_packed().program)), 1000),
], ids=['inputs', 'operations', 'all kinds'])  # yapf: disable
def test_calls(tmp_path, monkeypatch, data, values):
    """No message is made where nothing is wrong; calls grow as the values."""
    (tmp_path / 'net').write_bytes(data)
    monkeypatch.setattr(ops.Value, '__str__', None)
    calls = [0]

    def count(frame, event, argument):
        calls[0] += event == 'call'

    sys.setprofile(count)
    try:
        load_packed(tmp_path / 'net')
    finally:
        sys.setprofile(None)
    assert 0 < calls[0] < 20 * values


def test_messages_are_made_where_something_is_wrong():
    with pytest.raises(ops.ProgramError, match='cannot join real 1x1x1x1 and'):
        Program(
            (1, 1, 1),
            [ops.Flatten('f', ('input', )),
             ops.Concat('c', ('input', 'f'))], 'c')
