"""Timing packed networks."""
import sys

import numpy as np
import pytest
from programs import reactnet

from mmreact.packed import BackendMissingError, ProgramError, benchmark
from mmreact.packed.benchmark import compare, machine, make_run, measure
from mmreact.packed.reference import ReferenceBackend

NAMES = ['openvino', 'reference', 'onnxruntime', 'openvino-fp32']


@pytest.mark.parametrize('name', NAMES)
def test_run(name):
    program = reactnet()
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 64))
    x = x.astype(np.float32)
    y = make_run(name, program, x.shape, 1)(x)
    expected = ReferenceBackend(program).run(x, ['fc'])['fc']
    np.testing.assert_allclose(y, expected, 1e-5, 1e-5)


def test_measure_takes_turns(monkeypatch):
    """One call that does not count, then some that do; each in turn."""
    monkeypatch.setattr(benchmark, 'TURN', 0)
    calls = []
    seconds = measure(
        dict(a=lambda: calls.append('a'), b=lambda: calls.append('b')), 3)
    assert ''.join(calls) == 'ab' + 'aabb' * 3
    assert {name: len(s) for name, s in seconds.items()} == dict(a=3, b=3)
    assert all(s >= 0 for numbers in seconds.values() for s in numbers)


def test_compare(monkeypatch):
    """Ratios are to the first, and so are differences."""
    outputs = dict(a=np.zeros(3), b=np.array([0, -0.5, 0.25]))
    seconds = dict(a=[0.002, 0.001, 0.004], b=[0.008] * 2)
    monkeypatch.setattr(benchmark, 'make_run',
                        lambda name, *_: lambda x: outputs[name])
    monkeypatch.setattr(benchmark, 'measure', lambda runs, rounds: seconds)
    assert compare(reactnet(), ['a', 'b'], (1, 3, 32, 32)) == [
        dict(
            name='a',
            calls=3,
            min_ms=1,
            median_ms=2,
            difference=0,
            min_ratio=1,
            median_ratio=1),
        dict(
            name='b',
            calls=2,
            min_ms=8,
            median_ms=8,
            difference=0.5,
            min_ratio=8,
            median_ratio=4)
    ]


def test_machine():
    found = machine()
    assert found['cpu'] and found['cpus'] > 0
    assert set(found['flags']) <= set(benchmark.CPU_FLAGS)
    assert found['versions']['numpy'] == np.__version__
    assert {'python', 'openvino', 'onnxruntime'} <= set(found['versions'])


def test_errors(monkeypatch):
    program, shape = reactnet(), (1, 3, 32, 32)
    with pytest.raises(ValueError, match="Unknown 'fast'. Known: .*-fp32"):
        make_run('fast', program, shape, 1)
    with pytest.raises(ProgramError, match='window larger'):
        compare(program, ['reference'], (1, 3, 1, 1))
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(
            BackendMissingError, match=r'pip install "mmreact\[onnx,openvino'):
        make_run('onnxruntime', program, shape, 1)
