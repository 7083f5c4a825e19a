"""Weights of 8-bit rivals, on processors with VNNI and without.

qemu-user emulates a processor without it, and OpenVINO can be held to one.
"""
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import int8, saturation
from benchmarks.models import Network
from mmreact.packed.program import INPUT

ROOT = Path(__file__).parents[2]
EMULATOR = 'qemu-x86_64', '-cpu', 'Haswell'
needs_x86 = pytest.mark.skipif(
    platform.machine() != 'x86_64', reason='saturation is one of x86')
emulated = pytest.mark.skipif(
    not shutil.which(EMULATOR[0]) or platform.machine() != 'x86_64',
    reason='qemu-user is not installed')


def run(code, *args, emulator=(), **environment):
    """Run Python code in a fresh process; what it prints."""
    environ = dict(os.environ, **environment)
    # An emulated Python does not see that it belongs to an environment.
    environ['PYTHONPATH'] = os.pathsep.join([str(ROOT), *sys.path])
    command = [*emulator, os.path.realpath(sys.executable), '-c', code]
    done = subprocess.run([*command, *map(str, args)],
                          env=environ,
                          text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def weight_bits(engine, **kwargs):
    code = ('from benchmarks.saturation import weight_bits; import sys; '
            'print(weight_bits(sys.argv[1]))')
    return int(run(code, engine, **kwargs))


def processor_flags():
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('flags'):
            return set(line.split())
    return set()


@needs_x86
@pytest.mark.parametrize('engine', saturation.RUNS)
def test_this_processor(engine):
    """What its flags let expect, which are not what is asked."""
    flags = processor_flags()
    if 'avx2' not in flags:
        pytest.skip('engines differ on older processors')
    vnni = bool(flags & {'avx512_vnni', 'avx_vnni'})
    assert weight_bits(engine, ONEDNN_MAX_CPU_ISA='ALL') == (8 if vnni else 7)


@needs_x86
@pytest.mark.parametrize('isa', ['SSE41', 'AVX2', 'AVX512_CORE'])
def test_an_engine_that_is_held_back(isa):
    """Flags of the processor would not tell."""
    assert weight_bits('openvino', ONEDNN_MAX_CPU_ISA=isa) == 7


@pytest.mark.slow
@emulated
@pytest.mark.parametrize('engine', saturation.RUNS)
def test_a_processor_without_vnni(engine):
    assert weight_bits(engine, emulator=EMULATOR) == 7


@pytest.mark.parametrize('wrong', [0.5, 0.9, 1.1, np.nan])
def test_one_wrong_sum_is_enough(monkeypatch, wrong):

    def run(data, x):
        y = np.ones((1, saturation.CHANNELS), np.float32)
        y[0, -1] = wrong
        return y

    monkeypatch.setitem(saturation.RUNS, 'engine', run)
    assert saturation.weight_bits.__wrapped__('engine') == 7


def test_the_largest_sums_are_ones():
    """In real numbers, and each layer has the largest weights."""
    import onnx
    data = saturation.largest_sums()
    shape = 1, saturation.CHANNELS, saturation.SIZE, saturation.SIZE
    assert np.allclose(simulate(data, np.ones(shape, np.float32)), 1, 1e-6)
    weights = [
        onnx.numpy_helper.to_array(t)
        for t in onnx.load_from_string(data).graph.initializer
    ]
    shapes = [w.shape for w in weights if w.dtype == np.int8 and w.ndim > 1]
    assert shapes == list(saturation.LAYERS)


def simulate(data, x):
    """What a quantised model says if all is computed in real numbers."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(data, options,
                                           ['CPUExecutionProvider'])
    return session.run(None, {INPUT: x})[0]


@pytest.mark.slow
@emulated
@pytest.mark.parametrize('bits,exact', [(8, False), (7, True)])
def test_seven_bits_are_exact_without_vnni(small, tmp_path, bits, exact):
    """A whole network against its definition in real numbers."""
    network = Network('real', (3, 32, 32))
    data, x = int8.quantise_qdq(network, bits), network.images(1)
    (tmp_path / 'net.onnx').write_bytes(data)
    np.save(tmp_path / 'x.npy', x)
    code = '''
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(
    sys.argv[1], providers=['CPUExecutionProvider'])
x = numpy.load(sys.argv[2])
y, = session.run(None, {session.get_inputs()[0].name: x})
numpy.save(sys.argv[3], y)'''
    paths = [tmp_path / name for name in ('net.onnx', 'x.npy', 'y.npy')]
    run(code, *paths, emulator=EMULATOR)
    correlation = np.corrcoef(
        np.load(paths[-1]).ravel(),
        simulate(data, x).ravel())[0, 1]
    assert (correlation > 0.999) == exact, correlation
    assert correlation > 0.8  # why a coarse comparison does not tell
