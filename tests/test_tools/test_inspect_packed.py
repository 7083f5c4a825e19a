"""tools/deployment/inspect_packed.py against counts by hand."""
import json

import numpy as np
import pytest

from mmreact.packed import (PackedFile, Preprocessing, Program, load_packed,
                            ops, save_packed, summarize)

TOOL = 'deployment/inspect_packed.py'
# name, kind, output, 1-bit weights, real numbers, bytes in fp32 and fp16
ROWS = [
    ('stem', 'conv2d', 'real 8x6x5', 0, 9 * 3 * 8 + 8, 896, 464),
    ('one.sign', 'sign', 'sign 8x6x5', 0, 8, 40, 40),
    ('one.conv', 'binary_conv2d', 'real 4x3x3', 4 * 9 * 4, 8, 320, 320),
    ('pool', 'adaptive_avg_pool2d', 'real 4x1x1', 0, 0, 0, 0),
    ('flat', 'flatten', 'real 4', 0, 0, 0, 0),
    ('head.sign', 'sign', 'sign 4', 0, 4, 20, 20),
    ('head.hidden', 'binary_linear', 'real 70', 280, 140, 1120, 1120),
    ('head.fc', 'linear', 'real 2', 0, 142, 568, 288),
]


def save(path, real, classes=('cat', 'dog'), config='configs/a.py'):

    def f32(*shape):
        return np.ones(shape, np.float32)

    def u64(*shape):
        return np.zeros(shape, np.uint64)

    def sign(name, source, channels):
        return ops.Sign(name, (source, ), f32(channels),
                        np.zeros(channels, np.uint8))

    program = Program((3, 6, 5), [
        ops.Conv2d(
            'stem', ('input', ), f32(8, 3, 3, 3), f32(8), padding=(1, 1)),
        sign('one.sign', 'stem', 8),
        ops.BinaryConv2d(
            'one.conv', ('one.sign', ),
            u64(4, 3, 3, 1),
            f32(4),
            f32(4),
            8, (2, 2), (1, 1),
            groups=2),
        ops.AdaptiveAvgPool2d('pool', ('one.conv', )),
        ops.Flatten('flat', ('pool', )),
        sign('head.sign', 'flat', 4),
        ops.BinaryLinear('head.hidden',
                         ('head.sign', ), u64(70, 1), f32(70), f32(70), 4),
        ops.Linear('head.fc', ('head.hidden', ), f32(2, 70), f32(2)),
    ], 'head.fc', ('one.conv', ))
    preprocessing = Preprocessing(crop=(6, 5), mean=(0., ) * 3, std=(1., ) * 3)
    packed = PackedFile(program, preprocessing, classes, dict(config=config))
    save_packed(path, packed, real)
    return path


@pytest.mark.parametrize('real', ['fp32', 'fp16'])
def test_table(run_tool, tmp_path, real):
    path = save(tmp_path / 'net', real)
    out = run_tool(TOOL, path).stdout.splitlines()
    assert out[0] == f'{path}, input 3x6x5'
    rows = [line.split() for line in out[2:2 + len(ROWS)]]
    for row, (name, kind, output, bits, real_numbers,
              *size) in zip(rows, ROWS):
        numbers = [
            f'{n:,}' for n in (bits, real_numbers, size[real == 'fp16'])
        ]
        assert row == [name, kind, *output.split(), *numbers]
    rest = [line.split(None, 1) for line in out[2 + len(ROWS):]]
    rest = {key: ' '.join(value.split()) for key, value in rest}
    halves = 216 + 140 if real == 'fp16' else 0
    whole = 224 + 8 + 8 + 4 + 140 + 142 - halves
    size = path.stat().st_size
    tensors = 8 * (36 + 70) + 4 * whole + 2 * halves + 12
    assert rest.pop('preprocessing').startswith('Preprocessing(decoder=')
    assert rest == {
        '1-bit': '424 numbers 848 bytes',
        'fp32': f'{whole} numbers {4 * whole:,} bytes',
        'fp16': f'{halves} numbers {2 * halves} bytes',
        'flags': '12 numbers 12 bytes',
        'header': f'{size - tensors:,} bytes',
        'file': f'{size:,} bytes',
        'classes': 'cat; dog',
        'features': 'one.conv',
        'config': 'configs/a.py'
    }


def test_json(run_tool, tmp_path):
    path = save(tmp_path / 'net', 'fp16')
    line, = run_tool(TOOL, path, '--json').stdout.splitlines()
    report = json.loads(line)
    assert report.pop('file') == str(path)
    assert report['file_bytes'] == path.stat().st_size
    assert report['file_bytes'] == report['header_bytes'] + sum(
        row['bytes'] for row in report['operations'])
    for row, (name, kind, output, bits, real, _,
              size) in zip(report['operations'], ROWS):
        value, shape = output.split()
        assert row == dict(
            name=name,
            kind=kind,
            output=value,
            output_shape=[int(n) for n in shape.split('x')],
            one_bit_weights=bits,
            real_numbers=real,
            bytes=size)
    assert report['stored']['fp16'] == dict(numbers=356, bytes=712)
    assert report['preprocessing']['crop'] == [6, 5]
    assert (report['classes'],
            report['source']) == (['cat', 'dog'], dict(config='configs/a.py'))
    assert json.loads(json.dumps(summarize(path).to_dict())) == report


def test_text_of_strangers_is_escaped(run_tool, tmp_path):
    names = ['\x1b[2J', 'dog']
    path = save(tmp_path / 'net', 'fp32', names, 'a\r\x07')
    out = run_tool(TOOL, path).stdout
    assert "classes           '\\x1b[2J'; dog\n" in out
    assert "config            'a\\r\\x07'\n" in out
    assert load_packed(path).classes == tuple(names)


def test_wrong_files(run_tool, tmp_path):
    for path in (tmp_path / 'no', __file__):
        result = run_tool(TOOL, path, check=False)
        assert result.returncode == 1 and not result.stdout
        assert result.stderr.startswith(f'Error: Cannot load {path}: ')
        assert len(result.stderr.splitlines()) == 1


def test_many_classes_are_cut(run_tool, tmp_path):
    program = Program((30, 1, 1), [ops.Flatten('flat', ('input', ))], 'flat')
    packed = PackedFile(program, classes=[f'n{i}' for i in range(30)])
    save_packed(tmp_path / 'net', packed)
    out = run_tool(TOOL, tmp_path / 'net').stdout
    assert 'n8; n9 and 20 more\n' in out and 'n10' not in out
    assert '  preprocessing     none\n  ' in out
    assert '  features          none\n' in out
