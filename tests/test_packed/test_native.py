"""The native backend against the reference: every kernel, forced in turn.

Accumulators and bits are compared exactly, real results within the rounding
of float32. Whatever is joined into one pass must give the same bits as the
operations one by one; so must all kernels and numbers of threads.
"""
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from random_programs import random_program
from small_networks import build_program

from mmreact.packed import (BackendMissingError, PackedFile, PackedModel,
                            Program, ProgramError, native, ops, save_packed)
from mmreact.packed.benchmark import make_run
from mmreact.packed.bits import pack
from mmreact.packed.reference import ReferenceBackend, run_operation

ROOT = Path(__file__).parents[2]
try:
    KERNELS = native.kernels()
except ImportError:
    KERNELS = []
needs_library = pytest.mark.skipif(
    not KERNELS, reason='the compiled library was not built')


@pytest.mark.skipif(not shutil.which('c++'), reason='no C++ compiler')
def test_the_library_was_built():
    """Guards the others: where it can be built, none of them is skipped."""
    assert KERNELS[-1] == 'portable'


class Poisoned(native.NativeBackend):
    """Results lie in NaNs (signs in sevens), which must stay as they are."""

    @staticmethod
    def _result(value):
        sign = value.kind == 'sign'
        poison = np.full(
            np.prod(value.shape) + 64, 7 if sign else np.nan,
            np.int8 if sign else np.float32)
        return poison[32:-32].reshape(value.shape)

    def run(self, x, names):
        # What an earlier call left in the engine's memory is poison too.
        super().run(np.full_like(x, np.nan), names)
        results = super().run(x, names)
        for y in results.values():
            around = y.base
            poison = np.concatenate([around[:32], around[-32:]])
            assert (np.isnan(poison)
                    if y.dtype != np.int8 else poison == 7).all()
        return results


def close(got, expected):
    """Equal, but for the rounding of sums that the reference makes once."""
    if got.dtype == np.int8:
        return np.array_equal(got, expected)
    bound = 1e-5 * np.abs(expected) + 2e-6 * max(1, np.abs(expected).max())
    return bool((np.abs(got - expected) <= bound).all())


def check(program, x, kernel, threads=1):
    """Each operation on the inputs it got, then again with all joined."""
    backend = Poisoned(program, threads, kernel)
    names = [op.name for op in program.operations]
    results = backend.run(x, names)
    for op in program.operations:
        inputs = [results.get(name, x) for name in op.inputs]
        assert close(results[op.name], run_operation(op, *inputs)), op.name
    for wanted in ([program.output], [*program.features, program.output]):
        joined = backend.run(x, wanted)
        for name in wanted:
            assert np.array_equal(joined[name], results[name]), name
    return results


def real(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def flips(number, seed=0):
    return np.random.default_rng(seed).integers(0, 2, number, np.uint8)


# size, (Cin, Cout), kernel, stride, padding, dilation, groups
USUAL = dict(kernel=3, stride=1, padding=1, dilation=1, groups=1)
CASES = [
    *[dict(channels=(c, 9)) for c in range(1, 11)],
    *[dict(channels=(9, c)) for c in range(1, 11)],
    *[
        dict(channels=(a, b), size=(4, 5))
        for a, b in [(15, 33), (16, 64), (17, 31), (31, 17), (32, 32), (
            33, 65), (63, 129), (64, 128), (65, 63), (127, 16), (
                128, 96), (129, 127)]
    ],
    dict(channels=(2048, 40), size=(3, 3)),
    # Kernels have other ways for long windows, and for some blocks at a time.
    *[
        dict(channels=(a, b), size=(4, 5))
        for a, b in [(160, 224), (192, 96), (256, 65)]
    ],
    *[
        dict(channels=(c, 40), size=(3, 3), kernel=1, padding=0)
        for c in (1152, 1184, 1216)
    ],
    *[dict(size=(3, w)) for w in range(1, 10)],
    *[dict(size=(2, w)) for w in (13, 14, 15, 112)],
    dict(size=(112, 1)),
    *[
        dict(size=(9, 8), kernel=k, padding=p, stride=s)
        for k, p in [(1, 0), (1, 2), (3, 0), (5, 2), (7, 3), (7, 6)]
        for s in (1, 2, 3)
    ],
    *[
        dict(size=(9, 10), dilation=d, padding=p)
        for d, p in [(2, 2), (3, 1), (4, 9)]
    ],
    *[
        dict(channels=(g * a, g * b), groups=g)
        for g, a, b in [(2, 32, 32), (2, 16, 8), (3, 33, 32), (
            8, 1, 1), (2, 64, 40), (4, 5, 70)]
    ],
    dict(channels=(320, 192), size=(4, 5), groups=2),
    dict(channels=(66, 64), groups=2, dilation=2, padding=3, stride=2),
    dict(size=(1, 1), padding=3),
    dict(batch=2, size=(5, 7), stride=2),
    dict(batch=3, channels=(100, 100), size=(3, 3)),
]


def build_case(channels=(40, 70), size=(6, 7), batch=1, **window):
    """A Sign, the accumulators, and a convolution with its next Sign."""
    window = {**USUAL, **window}
    kernel, groups = window.pop('kernel'), window.pop('groups')
    cin, cout = channels
    pairs = {key: (value, value) for key, value in window.items()}
    weight = pack(real(cout, kernel, kernel, cin // groups))
    ones, zeros = np.ones(cout, np.float32), np.zeros(cout, np.float32)
    scale = real(cout, seed=1)
    scale[::3] = 0
    program = Program((cin, *size), [
        ops.Sign('sign', ('input', ), real(cin, seed=2) / 4, flips(cin)),
        ops.BinaryConv2d(
            'sums', ('sign', ), weight, ones, zeros, cin, groups=groups,
            **pairs),
        ops.BinaryConv2d(
            'conv', ('sign', ),
            weight,
            scale,
            real(cout, seed=3),
            cin,
            groups=groups,
            **pairs),
        ops.Sign('next', ('conv', ), real(cout, seed=4), flips(cout, 1)),
    ], 'next', ('sums', ))  # yapf: disable
    return program, real(batch, cin, *size, seed=5)


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_binary_convolutions(kernel, case):
    program, x = build_case(**case)
    results = check(program, x, kernel)
    expected = ReferenceBackend(program).run(x, ['sign', 'sums'])
    for name in ('sign', 'sums'):
        assert np.array_equal(results[name], expected[name])


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('size,padding', [((1, 1), 0), ((1, 1), 1),
                                          ((111, 1), 1), ((1, 113), 0),
                                          ((5, 6), 0)])
@pytest.mark.parametrize('channels', [(3, 32), (33, 300), (64, 257)])
def test_real_1x1_convolutions(kernel, size, padding, channels):
    """Where one pixel is left, several blocks of channels go together."""
    cin, cout = channels
    program = Program((cin, *size), [
        ops.Conv2d(
            'conv', ('input', ),
            real(cout, cin, 1, 1),
            real(cout),
            padding=(padding, padding)),
        ops.RPReLU('act', ('conv', ), real(cout), real(cout), real(cout)),
        ops.AdaptiveAvgPool2d('pool', ('act', )),
        ops.Flatten('flat', ('pool', )),
        ops.Linear('fc', ('flat', ), real(1000, cout), real(1000))
    ], 'fc')
    check(program, real(2, cin, *size), kernel)


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('size', [1, 3])
@pytest.mark.parametrize('channels,groups', [((32, 32), 4), ((128, 64), 4),
                                             ((37, 37), 37), ((64, 64), 64),
                                             ((6, 99), 3), ((10, 130), 5)])
def test_real_groups(kernel, size, channels, groups):
    """Small groups join; what follows them does not see that."""
    cin, cout = channels
    program = Program((cin, 5, 7), [
        ops.Conv2d(
            'conv', ('input', ),
            real(cout, cin // groups, size, size),
            real(cout),
            padding=(size // 2, size // 2),
            groups=groups),
        ops.RPReLU('act', ('conv', ), real(cout), real(cout), real(cout)),
        ops.Sign('sign', ('act', ), real(cout, seed=1),
                 np.zeros(cout, np.uint8)),
    ], 'sign', ('act', ))  # yapf: disable
    check(program, real(2, cin, 5, 7), kernel)


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('width', [64, 66, 96])
@pytest.mark.parametrize('batch,size', [(1, (9, 9)), (3, (12, 17))])
def test_every_operation(kernel, width, batch, size):
    program = build_program(width=width)
    check(program, real(batch, 3, *size), kernel)


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('op', [ops.Sigmoid, ops.SiLU])
def test_sigmoids_far_out(kernel, op):
    """Zero, and no denormal number: maps times such a gate take longer."""
    x = np.array([-89, -100, -1000, -3e38, 0, 1000], np.float32)
    program = Program((6, 1, 1), [op('op', ('input', ))], 'op')
    backend = native.NativeBackend(program, 1, kernel)
    y = backend.run(x.reshape(1, 6, 1, 1), ['op'])['op']
    gate = np.array([0, 0, 0, 0, 0.5, 1], np.float32)
    expected = gate if op is ops.Sigmoid else gate * x
    np.testing.assert_array_equal(y.reshape(-1), expected)


@needs_library
@pytest.mark.parametrize('seeds', [
    range(60),
    pytest.param(range(60, 3000), marks=pytest.mark.slow),
])
def test_random_programs(seeds):
    """Operation by operation, joined, and all kernels alike."""
    for seed in seeds:
        program = random_program(seed)
        x = real(1 + seed % 3, *program.input_shape, seed=seed)
        first, *others = [
            check(program, x, kernel, 1 + seed % 2) for kernel in KERNELS
        ]
        for other in others:
            for name, y in first.items():
                assert np.array_equal(y, other[name]), (seed, name)


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('channels,window', [(32, 1), (224, 1), (256, 1),
                                             (128, 3), (160, 3), (2048, 7)])
def test_largest_sums(kernel, channels, window):
    """All bits differ: nothing that counts them overflows."""
    weight = np.zeros((40, window, window, (channels + 63) // 64), np.uint64)
    ones, zeros = np.ones(40, np.float32), np.zeros(40, np.float32)
    program = Program((channels, window, window), [
        ops.Sign('sign', ('input', ), np.zeros(channels, np.float32),
                 np.zeros(channels, np.uint8)),
        ops.BinaryConv2d('sums', ('sign', ), weight, ones, zeros, channels)
    ], 'sums')  # yapf: disable
    x = np.ones((1, *program.input_shape), np.float32)
    sums = Poisoned(program, 1, kernel).run(x, ['sums'])['sums']
    assert (sums == -channels * window**2).all()


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('channels', [(32, 32), (160, 96), (192, 128)])
def test_means_of_convolutions(kernel, channels):
    cin, cout = channels
    program = Program((cin, 4, 16), [
        ops.Sign('sign', ('input', ), real(cin) / 4, flips(cin)),
        ops.BinaryConv2d('conv', ('sign', ), pack(real(cout, 3, 3, cin)),
                         real(cout, seed=1) / 9, real(cout, seed=2), cin,
                         padding=(1, 1)),
        ops.RPReLU('act', ('conv', ), *(real(cout, seed=i) for i in range(3))),
        ops.Sign('next', ('act', ), real(cout, seed=3), flips(cout)),
        ops.AvgPool2d('means', ('act', ), (2, 2), (2, 2))
    ], 'means', ('next', ))  # yapf: disable
    check(program, real(2, cin, 4, 16, seed=4), kernel, threads=2)


def build_blocks(size, channels=(32, 64), kernel=3):
    """Blocks as ReActNet has them: doubled channels, then a stride of 2."""
    rng = np.random.default_rng(0)

    def f32(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def conv(name, source, cin, cout, kernel, stride=1):
        pad = kernel // 2
        return ops.BinaryConv2d(name, (source, ),
                                pack(f32(cout, kernel, kernel, cin)),
                                f32(cout) * 0.1, f32(cout), cin,
                                (stride, stride), (pad, pad))

    def sign(name, source, c):
        return ops.Sign(name, (source, ), f32(c) * 0.3, np.zeros(c, np.uint8))

    a, b = channels
    return Program((a, *size), [
        sign('sign', 'input', a),
        conv('conv', 'sign', a, a, kernel),
        ops.Add('add', ('conv', 'input')),
        ops.RPReLU('act', ('add', ), f32(a), f32(a), f32(a)),
        sign('sign2', 'act', a),
        conv('left', 'sign2', a, b - a, 1),
        conv('right', 'sign2', a, a, 1),
        ops.Add('right.add', ('right', 'act')),
        ops.Concat('cat', ('left', 'right.add')),
        ops.RPReLU('cat.act', ('cat', ), f32(b), f32(b), f32(b)),
        sign('sign3', 'cat.act', b),
        conv('down', 'sign3', b, b, kernel, 2),
        ops.AvgPool2d('shortcut', ('cat.act', ), (2, 2), (2, 2)),
        ops.Add('down.add', ('down', 'shortcut')),
        sign('sign4', 'down.add', b),
        conv('last', 'sign4', b, 40, 1),
        ops.Sigmoid('gate', ('last', )),
    ], 'gate', ('shortcut', 'sign3'))


@needs_library
@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('channels', [(32, 64), (32, 96), (33, 66)])
@pytest.mark.parametrize('batch,size', [(1, (8, 8)),
                                        (2, (10, 16)), (1, (4, 12)),
                                        (1, (6, 14)), (3, (2, 40))])
def test_blocks(kernel, channels, batch, size):
    """Means of 2x2 pixels are made where they are stored or read."""
    program = build_blocks(size, channels)
    check(program, real(batch, channels[0], *size), kernel, threads=2)


@needs_library
def test_the_number_of_threads_changes_nothing():
    program = build_program(width=96)
    x = real(4, 3, 64, 48)
    names = [op.name for op in program.operations]
    expected = native.NativeBackend(program, 1).run(x, names)
    for threads in (2, 3, 7):
        backend = native.NativeBackend(program, threads)
        for _ in range(20):
            results = backend.run(x, names)
            for name in names:
                assert np.array_equal(results[name], expected[name])


@needs_library
def test_python_threads_share_a_backend():
    program = build_program()
    backend = native.NativeBackend(program, 2)
    inputs = [
        real(1 + i % 2, 3, 9 + i % 12, 9 + i % 5, seed=i) for i in range(60)
    ]
    expected = [backend.run(x, ['head.fc'])['head.fc'] for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            results = pool.map(lambda x: backend.run(x, ['head.fc']), inputs)
            for got, wanted in zip(results, expected):
                assert np.array_equal(got['head.fc'], wanted)


@needs_library
def test_the_gil_is_released():
    """Another thread goes on while a run lasts."""
    program, _ = build_case(channels=(256, 256), size=(9, 9))
    backend = native.NativeBackend(program, 1, 'portable')
    x = real(40, 256, 40, 40)
    backend.run(x, ['next'])
    ticks, stop = [0], threading.Event()

    def tick():
        while not stop.wait(1e-3):
            ticks[0] += 1

    ticker = threading.Thread(target=tick)
    ticker.start()
    before = ticks[0]
    backend.run(x, ['next'])
    during = ticks[0] - before
    stop.set()
    ticker.join()
    assert during > 10


@needs_library
def test_more_shapes_than_plans_are_kept():
    program = build_program()
    backend = native.NativeBackend(program)
    inputs = [real(1, 3, 9 + i, 9, seed=i) for i in range(20)]
    for _ in range(2):
        for x in inputs:
            expected = native.NativeBackend(program).run(x, ['head.fc'])
            assert np.array_equal(
                backend.run(x, ['head.fc'])['head.fc'], expected['head.fc'])


@needs_library
def test_choice_of_the_kernel(monkeypatch):
    program = build_program()
    monkeypatch.delenv('MMREACT_KERNEL', raising=False)
    assert native.NativeBackend(program).kernel == KERNELS[0]
    for name in KERNELS:
        assert native.NativeBackend(program, kernel=name).kernel == name
        monkeypatch.setenv('MMREACT_KERNEL', name)
        assert native.NativeBackend(program).kernel == name
    assert native.NativeBackend(
        program, kernel='portable').kernel == ('portable')
    for choose in (lambda: native.NativeBackend(program, kernel='fast'),
                   lambda: native.NativeBackend(program)):
        monkeypatch.setenv('MMREACT_KERNEL', 'fast')
        with pytest.raises(
                ValueError, match="no kernel 'fast'; known .*, portable"):
            choose()


@needs_library
def test_auto_takes_it(packed):
    assert PackedModel(packed).backend.name == 'native'
    assert PackedModel(packed, 'native', 2).backend.name == 'native'


def test_without_the_library(packed, monkeypatch, tmp_path):
    monkeypatch.setattr(native, '__file__', str(tmp_path / 'native.py'))
    native.library.cache_clear()
    try:
        with pytest.raises(BackendMissingError, match='apt install g'):
            PackedModel(packed, 'native')
        (tmp_path / '_native.so').write_bytes(b'no library')
        with pytest.raises(BackendMissingError, match='cannot be loaded'):
            PackedModel(packed, 'native')
    finally:
        native.library.cache_clear()


@needs_library
def test_wrong_calls():
    """The C entry points check what they get."""
    program = build_program()
    backend = native.NativeBackend(program)
    with pytest.raises(ProgramError, match='is for 3 channels'):
        backend.run(real(1, 4, 9, 9), ['head.fc'])

    class Short(native.NativeBackend):

        @staticmethod
        def _result(value):
            return np.empty(np.prod(value.shape) - 1, np.float32)

    with pytest.raises(RuntimeError, match='has 16 bytes; real 1x5 has 20'):
        Short(program).run(real(1, 3, 9, 9), ['head.fc'])

    class Crooked(native.NativeBackend):

        @staticmethod
        def _result(value):
            octets = np.empty(4 * np.prod(value.shape) + 1, np.uint8)
            return octets[1:].view(np.float32)

    with pytest.raises(RuntimeError, match='not aligned'):
        Crooked(program).run(real(1, 3, 9, 9), ['head.fc'])


@needs_library
def test_in_a_process_without_torch():
    code = '''
import sys, numpy as np
from mmreact.packed.native import NativeBackend
sys.path.insert(0, 'tests/test_packed')
from small_networks import build_program
y = NativeBackend(build_program()).run(
    np.zeros((1, 3, 9, 9), np.float32), ['head.fc'])['head.fc']
assert np.isfinite(y).all() and 'torch' not in sys.modules'''
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != 'linux' or not shutil.which('c++'),
    reason='needs a C++ compiler and glibc')
def test_later_runs_do_not_allocate(tmp_path):
    csrc, program = ROOT / 'mmreact/csrc', tmp_path / 'count_allocations'
    subprocess.run([
        'c++', '-std=c++17', '-O1', '-ffp-contract=off', '-pthread', '-I',
        csrc / 'include', Path(__file__).with_name('count_allocations.cpp'),
        *csrc.rglob('*.cpp'), '-o', program
    ], check=True)  # yapf: disable
    save_packed(tmp_path / 'net', PackedFile(build_program()))
    out = subprocess.run([program, tmp_path / 'net', '1'],
                         check=True,
                         text=True,
                         capture_output=True).stdout
    first, last = map(int, out.split())
    assert first > 0 and last == 0


@needs_library
def test_beside_other_engines():
    """Their threads and ours in one process, at the same time."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('onnxruntime')
    pytest.importorskip('openvino')
    program, x = build_program(), real(1, 3, 9, 9)
    weight = torch.randn(256, 256)
    runs = [
        make_run(name, program, x.shape, 2)
        for name in ('native', 'openvino', 'onnxruntime')
    ]
    works = [
        *(partial(run, x) for run in runs), lambda: (weight @ weight).numpy()
    ]
    expected = [work() for work in works]

    def alike(i):
        return np.array_equal(works[i % 4](), expected[i % 4])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(alike, range(400)))
