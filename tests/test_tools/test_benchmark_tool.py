"""tools/deployment/benchmark.py, with the test's own small program."""
import json

import numpy as np
import pytest

from mmreact.packed import INPUT, PackedFile, Program, ops, save_packed

TOOL = 'deployment/benchmark.py'


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('packed') / 'net'
    one = np.ones((16, 3, 3, 3), np.float32)
    program = Program((3, 8, 8), [
        ops.Conv2d('conv', (INPUT, ), one, one[:, 0, 0, 0]),
        ops.AdaptiveAvgPool2d('pool', ('conv', )),
        ops.Flatten('out', ('pool', )),
    ], 'out')
    save_packed(path, PackedFile(program))
    return path


def test_table(path, run_tool):
    out = run_tool(TOOL, path, '--rounds', 2, '--backend', 'openvino',
                   '--against', 'openvino-fp32',
                   'onnxruntime').stdout.splitlines()
    size = path.stat().st_size
    assert out[0] == f'{path}: {size:,} bytes, input 1x3x8x8, 1 thread'
    assert ' CPUs, ' in out[1]
    assert 'openvino 20' in out[2] and 'onnxruntime 1' in out[2]
    rows = [line.split() for line in out[4:]]
    assert [row[0]
            for row in rows] == ['openvino', 'openvino-fp32', 'onnxruntime']
    for row in rows:
        _, calls, least, median, *ratios, difference = row
        assert int(calls) >= 2 and 0 <= float(least) <= float(median)
        assert min(map(float, ratios)) > 0 and float(difference) < 1e-4


def test_json(path, run_tool):
    out = run_tool(TOOL, path, '--rounds', 1, '--backend', 'reference',
                   '--threads', 2, '--batch', 3, '--size', 5, 6, '--json')
    report = json.loads(out.stdout)
    assert report['input_shape'] == [3, 3, 5, 6]
    assert (report['file_bytes'], report['threads']) == (path.stat().st_size,
                                                         2)
    assert report['machine']['cpus'] > 0
    row, = report['results']
    assert (row['name'], row['min_ratio'], row['difference']) == ('reference',
                                                                  1, 0)


@pytest.mark.parametrize('args,message', [
    (['--backend', 'reference', '--size', 1], 'has a window larger'),
    (['--threads', 0], '--threads takes a positive number'),
    (['--size', 1, 2, 3], '--size takes one or two'),
    (['--against', 'tensorrt'], "choose from onnxruntime, openvino-fp32"),
])
def test_errors(args, message, path, run_tool):
    result = run_tool(TOOL, path, *args, check=False)
    assert result.returncode in (1, 2)
    assert message in result.stderr.replace("'", '')
    assert 'Traceback' not in result.stderr


def test_no_packed_file(run_tool, tmp_path):
    result = run_tool(TOOL, tmp_path / 'none', check=False)
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr.startswith('Error: Cannot load')
