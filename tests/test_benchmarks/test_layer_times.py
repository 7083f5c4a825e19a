"""benchmarks/layers.py and processes.py."""
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import layer_programs, layers, processes
from benchmarks.models import Network
from benchmarks.peak import measure_peaks
from mmreact.analysis import count_ops
from mmreact.packed import PackedFile, Program, native, ops, save_packed
from mmreact.packed.reference import ReferenceBackend

SHAPE = (3, 32, 32)


@pytest.fixture
def network(small):
    return Network('small', SHAPE)


def output(program, x):
    return ReferenceBackend(program).run(x, [program.output])[program.output]


def test_layers_make_the_network(network):
    """Apart and joined again they compute the same, and count the same."""
    parts = layer_programs.split(network.program)
    binary = [
        part for part in parts if isinstance(part.operations[0], ops.Sign)
    ]
    assert len(binary) == sum(
        isinstance(op, ops.RPReLU) for op in network.program.operations)
    x = network.images(1)
    assert np.array_equal(
        output(layer_programs.join(parts), x), output(network.program, x))
    report = count_ops(network.model, SHAPE)
    counts = [layer_programs.macs(part) for part in parts]
    assert sum(c['binary'] for c in counts) == report.bops
    assert sum(c['real'] for c in counts) == report.flops


def test_copies(network):
    """Behind each other or side by side, a layer is computed so often."""
    parts = layer_programs.split(network.program)
    indices = [
        i for i, part in enumerate(parts)
        if isinstance(part.operations[0], ops.Sign)
    ]
    alike = {
        layer_programs.shape(parts[i]) == parts[i].input_shape
        for i in indices
    }
    assert alike == {True, False}
    for i in indices:
        without, more = layers.pairs(parts, i)
        added = sum(
            layer_programs.macs(p)['binary'] * sign
            for p, sign in ((more, 1), (without, -1)))
        shape = layer_programs.shape(parts[i])
        # Side by side, the signs of one pixel are summed.
        taken = 0 if shape == parts[i].input_shape else shape[0]
        assert added == layers.COPIES * (
            layer_programs.macs(parts[i])['binary'] + taken)
    i = indices[-1]
    x = np.random.default_rng(0).normal(size=(1, *parts[i].input_shape))
    single = output(parts[i], x.astype(np.float32))
    bits = np.where(single[..., :1, :1] > 0, 1, -1).sum(1, keepdims=True)
    for means, n in ((False, 1), (True, 2)):
        number = single[..., :n, :n].mean((2, 3), keepdims=True)
        np.testing.assert_allclose(
            output(
                layer_programs.side_by_side(parts[i], 3, means),
                x.astype(np.float32)), 3 * (number - bits), 1e-5, 1e-5)
    assert layers.pairs(parts, 0) is None


def test_means_are_seen(network):
    """In front of the layers with stride 2, and nowhere else."""
    for part in layer_programs.split(network.program):
        assert layer_programs.takes_means(part) == (
            ', stride 2' in layer_programs.describe(part)
            and 'real' not in layer_programs.describe(part))


def test_bytes():
    """A 1x1 layer of 64 channels on 4x4 pixels, by hand."""
    one = np.ones(64, np.float32)
    bits = np.zeros((64, 1, 1, 1), np.uint64)
    program = Program((64, 4, 4), [
        ops.Sign('sign', ('input', ), one, np.zeros(64, np.uint8)),
        ops.BinaryConv2d('conv', ('sign', ), bits, one, one, 64),
        ops.Add('out', ('conv', 'input')),
    ], 'out')
    assert layer_programs.moved_bytes(program) == 2 * 1024 * 4 + 2 * 128 + 512
    assert layer_programs.macs(program) == dict(binary=16 * 64 * 64, real=0)
    assert layer_programs.describe(program) == '1x1, 64 to 64'
    conv = replace(program.operations[1], stride=(2, 2))
    strided = Program((64, 4, 4), [program.operations[0], conv], 'conv')
    assert layer_programs.describe(strided) == '1x1, 64 to 64, stride 2'


def test_end_to_end(network, tmp_path, monkeypatch):
    kernel = native.kernels()[0]
    monkeypatch.setattr(layers, 'measure_peaks',
                        lambda: dict(gmacs={kernel: 1000.}, gigabytes={}))
    path = tmp_path / 'layers.json'
    assert layers.main([
        '--network', 'small', '--size', '32', '--rounds', '1', '--json',
        str(path)
    ]) is None
    found = json.loads(path.read_text())
    assert found['kernel'] == kernel and found['whole']['min_ms'] > 0
    assert sum(row['number'] for row in found['results']) == len(
        layer_programs.split(network.program))
    for row in found['results']:
        assert row['alone']['min_ms'] > 0
        assert bool(row['added']) == (row['macs']['binary'] > 0)


def test_no_bound_for_a_kernel(network, monkeypatch):
    monkeypatch.setattr(layers, 'measure_peaks',
                        lambda: dict(gmacs=dict(other=1.), gigabytes={}))
    error = layers.main(['--network', 'small', '--size', '32'])
    assert 'no loop for the kernel' in error and 'other' in error


def test_no_compiler(monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(RuntimeError, match="compiler 'no-such-compiler'"):
        measure_peaks()


@pytest.mark.slow
def test_peaks():
    """Every vector kernel of this processor has one; peak.cpp checks what
    its loops count.
    """
    found = measure_peaks()
    kernels = set(native.kernels()) - {'portable', 'neon'}
    assert kernels <= set(found['gmacs'])
    assert min(found['gmacs'].values()) > 0 and len(found['gigabytes']) == 3


def test_processes(small, tmp_path, monkeypatch):
    """From end to end; NNCF needs a package of its own."""
    monkeypatch.setitem(sys.modules, 'nncf', None)
    monkeypatch.setattr(processes, 'RIVAL', 'real')
    monkeypatch.setattr(processes, 'PACKED', ('small', ))
    path = tmp_path / 'processes.json'
    args = ['--size', '32', '--rounds', '1', '--json', str(path)]
    assert 'nncf' in processes.main(args)
    assert processes.main([*args, '--skip-missing']) is None
    found = json.loads(path.read_text())
    assert [row['loader'] for row in found['results']
            ] == ['nothing', 'native', 'native', 'onnxruntime']
    assert [s['contender'] for s in found['skipped']] == ['write_nncf']
    assert not any(row['torch'] for row in found['results'])
    _, whole, half, real = found['results']
    assert real['name'] in ('real, int8', 'real, int8 with 7-bit weights')
    assert half['bytes'] < whole['bytes']


def test_fresh_process(network, tmp_path):
    """Without torch, and without anything else of the benchmarks."""
    save_packed(tmp_path / 'net', PackedFile(network.program))
    found = processes.start('native', tmp_path / 'net', 32)
    nothing = processes.start('nothing', '', 32)
    assert not found['torch'] and not nothing['torch']
    assert 'first_call_ms' in found and 'first_call_ms' not in nothing
    assert 0 < nothing['resident_mb'] < found['resident_mb']
    assert found['resident_mb'] <= found['peak_mb']
    with pytest.raises(RuntimeError, match='Cannot load'):
        processes.start('native', tmp_path / 'none', 32)
