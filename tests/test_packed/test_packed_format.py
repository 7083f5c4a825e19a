"""docs/packed_format.md is complete and right."""
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmreact.packed import (OPERATIONS, PackedFile, Preprocessing, Program,
                            Resize, ops, save_packed)
from mmreact.packed.bits import pack
from mmreact.packed.container import DTYPES, FORMAT, VERSION
from mmreact.packed.file import PARTS, decode_preprocessing
from mmreact.packed.reference import ReferenceBackend

PAGE = (Path(__file__).parents[2] / 'docs/packed_format.md').read_text()
#: Word of the page -> dtype.
TYPES = dict(real='float32', bits='uint64', flags='uint8')


def code(language):
    return re.findall(rf'```{language}\n(.*?)```', PAGE, re.DOTALL)


def table(first):
    """The rows of the table whose head begins with a cell."""
    rows = PAGE.split(f'| {first} |')[1].split('\n\n')[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip('|').split('|')]
            for row in rows]


def test_every_operation_is_described():
    rows = {row[0].strip('`'): row[1:] for row in table('kind')}
    assert set(rows) == set(OPERATIONS)
    for kind, (inputs, attributes, tensors, result) in rows.items():
        cls = OPERATIONS[kind]
        assert re.findall('`([a-z_]+)`', attributes) == [
            f.name for f in cls.attribute_fields()
        ]
        found = re.findall(r'`(\w+)` (real|bits|flags) `(\(.*?\)+)`', tensors)
        assert [(name, np.dtype(TYPES[kind]), shape.count(',') + 1)
                for name, kind, shape in found
                ] == [(f.name, f.metadata['dtype'], f.metadata['ndim'])
                      for f in cls.tensor_fields()]
        assert ('sign' in cls.accepts) == bool(re.search('any|sign', inputs))
        assert (cls.arity == 2) == (inputs == 'any, any')
        assert (cls.arity is None) == inputs.startswith('one or more')
        assert re.match('real|sign|as the input', result)


def test_the_metadata_are_described():
    keys = [row[0].strip('`') for row in table('key')]
    assert keys[:2] == ['format', 'format_version'] and keys[2:] == list(PARTS)
    assert dict(row[:2] for row in table('key'))['`format`'] == f'`{FORMAT}`'
    assert f'Version {VERSION} of the format is described' in PAGE
    assert all(f'`{dtype}`' in PAGE for dtype in DTYPES)


def test_the_examples():
    program, preprocessing = map(json.loads, code('json'))
    for entry in program['operations']:
        cls = OPERATIONS[entry['kind']]
        assert set(
            entry['attributes']) == {f.name
                                     for f in cls.attribute_fields()}
    assert set(program) == {'input_shape', 'operations', 'output', 'features'}
    assert decode_preprocessing(preprocessing) == Preprocessing(
        resize=Resize(mode='short', size=256),
        crop=(224, 224),
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375))


RUN = '''
import sys
for name in ('mmreact', 'safetensors', 'torch'):
    sys.modules[name] = None  # what imports it fails
{reader}
program, tensors = read({path!r})
operation, = (op for op in program['operations'] if op['name'] == 'a.conv')
x = np.load({signs!r})
np.save({result!r}, binary_conv2d(operation, tensors, x))
'''


@pytest.mark.parametrize(
    'channels,outputs,groups,kernel,stride,padding,'
    'dilation', [
        (64, 2, 1, (3, 3), (1, 1), (1, 1), (1, 1)),
        (130, 4, 2, (3, 2), (2, 1), (2, 1), (1, 2)),
        (3, 3, 3, (1, 1), (1, 2), (0, 0), (1, 1)),
    ])
def test_the_reader(tmp_path, channels, outputs, groups, kernel, stride,
                    padding, dilation):
    """With json and numpy alone it gives what the reference gives."""
    rng = np.random.default_rng(channels)
    weight = rng.normal(size=(outputs, *kernel, channels // groups))
    # Products and sums that float32 holds exactly.
    scale = rng.choice([-2, -0.5, 1, 4], outputs).astype(np.float32)
    shift = rng.integers(-9, 9, outputs).astype(np.float32) / 4
    zeros = np.zeros(channels, np.float32)
    program = Program((channels, 6, 5), [
        ops.Sign('a.sign', ('input', ), zeros, zeros.astype(np.uint8)),
        ops.BinaryConv2d('a.conv', ('a.sign', ), pack(weight), scale, shift,
                         channels, stride, padding, dilation, groups)
    ], 'a.conv')
    save_packed(tmp_path / 'net', PackedFile(program))
    x = rng.normal(size=(1, channels, 6, 5)).astype(np.float32)
    results = ReferenceBackend(program).run(x, ['a.sign', 'a.conv'])
    np.save(tmp_path / 'signs.npy', results['a.sign'][0])
    script = RUN.format(
        reader=code('python')[0],
        path=str(tmp_path / 'net'),
        signs=str(tmp_path / 'signs.npy'),
        result=str(tmp_path / 'result.npy'))
    subprocess.run([sys.executable, '-c', script], check=True, timeout=600)
    y = np.load(tmp_path / 'result.npy')
    expected = results['a.conv'][0]
    assert y.shape == expected.shape
    assert np.array_equal(y, expected) and len(np.unique(y)) > 3
