"""The OpenVINO backend against the reference."""
import gc
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import pytest
from programs import Draft, random_program, reactnet
from random_programs import random_program as any_program
from test_operations import CASES, value_of

from mmreact.packed import (INPUT, OPERATIONS, PackedModel, Program,
                            ProgramError)
from mmreact.packed import openvino as backend
from mmreact.packed import ops
from mmreact.packed.bits import pack
from mmreact.packed.openvino import (CompiledModel, OpenVINOBackend,
                                     check_engine, export_openvino,
                                     shared_core)
from mmreact.packed.openvino_graph import Graph, build_model, runs_on_bits
from mmreact.packed.openvino_operations import BUILDERS
from mmreact.packed.reference import ReferenceBackend, run_operation


def compiled(model):
    return shared_core().compile_model(model, 'CPU', backend.PRECISE)


def expect_equal(program, x, names=None, **kwargs):
    """The same numbers as the reference, and of the same types."""
    names = names or [program.output]
    expected = ReferenceBackend(program).run(x, names)
    results = OpenVINOBackend(program, 1, **kwargs).run(x, names)
    assert set(results) == set(expected)
    for name in names:
        assert results[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(results[name], expected[name], name)


# Every operation


@pytest.mark.parametrize(
    'case', CASES, ids=[f'{i}-{c.func.__name__}' for i, c in enumerate(CASES)])
def test_operation(case):
    op, inputs, _ = case()
    values = dict(zip(op.inputs, map(value_of, inputs)))
    parameters = {
        name: openvino.opset14.parameter(list(value.shape), np.float32)
        for name, value in values.items()
    }
    values['op'] = op.infer(*values.values())
    model = compiled(Graph([op], values, parameters).model(['op']))
    y = model([x.astype(np.float32) for x in inputs])[0]
    expected = run_operation(op, *inputs)
    assert y.shape == expected.shape
    if expected.dtype == np.int8 or case.keywords.get('exact'):
        np.testing.assert_array_equal(y, expected)
    else:
        np.testing.assert_allclose(y, expected, 1e-5,
                                   1e-6 * np.abs(expected).max())


def test_no_operation_is_missing():
    assert set(BUILDERS) == set(OPERATIONS.values())


# Convolutions of signs: (Cin, Cout, kernel, stride, padding, dilation, groups,
# size, runs on bits)
CONVOLUTIONS = [
    *((cin, 20, (3, 3), (1, 1), (1, 1), (1, 1), 1, (5, 6), cin % 8 == 0)
      for cin in (8, 12, 16, 24, 36, 37, 64, 72, 100, 128)),
    *((16, cout, (3, 3), (1, 1), (1, 1), (1, 1), 1, (4, 9), True)
      for cout in (1, 8, 15, 17, 33, 97)),
    *((8, 4, (k, k), (s, s), (p, p), (1, 1), 1, (7, 10), True)
      for k in (1, 2, 3, 4, 5) for s in (1, 2)
      for p in (0, 1, 2) if k + p > 2),
    *((8, 4, (k, k), (1, 1), (1, 1), (1, 1), 1, (1, 1), True)
      for k in (1, 2, 3)),
    (8, 4, (2, 3), (2, 1), (1, 1), (1, 1), 1, (6, 1), True),
    (8, 4, (3, 3), (3, 1), (0, 1), (1, 1), 1, (9, 8), True),
    # What BinaryConvolution computes wrongly or refuses
    (8, 4, (5, 5), (1, 1), (2, 2), (1, 1), 1, (1, 1), False),
    (8, 4, (5, 5), (3, 3), (2, 2), (1, 1), 1, (9, 11), False),
    (24, 17, (7, 7), (1, 3), (3, 3), (1, 1), 1, (3, 8), False),
    (8, 4, (3, 3), (1, 1), (2, 2), (2, 2), 1, (6, 6), False),
    (16, 16, (2, 2), (1, 1), (1, 1), (2, 2), 1, (1, 2), False),
    (8, 4, (9, 9), (2, 2), (2, 2), (1, 1), 1, (9, 9), False),
    (16, 16, (3, 3), (1, 1), (1, 1), (1, 1), 2, (5, 5), False),
    (16, 16, (3, 3), (1, 1), (1, 1), (1, 1), 16, (5, 5), False),
]


@pytest.mark.parametrize(
    'cin,cout,kernel,stride,padding,dilation,groups,size,'
    'one_bit', CONVOLUTIONS)
@pytest.mark.parametrize('batch', [1, 2, 7])
def test_convolution(cin, cout, kernel, stride, padding, dilation, groups,
                     size, one_bit, batch):
    """Ties, infinite thresholds, flips, negative scales, borders: exact."""
    draft = Draft(np.random.default_rng(cin + cout), cin, size)
    draft.sign(INPUT, name='sign')
    draft.binary_conv(
        'sign',
        cout,
        kernel,
        name='conv',
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups)
    program, x = draft.finish('conv'), draft.quarters(batch, cin, *size)
    values = program.infer(x.shape[1:], batch)
    graph = Graph(program.operations, values, {})
    assert runs_on_bits(program.find('conv'), graph) == one_bit
    expect_equal(program, x)
    expect_equal(program, x, ['sign', 'conv'])


def layer_types(shape, program):
    """What OpenVINO runs, after it has merged what it can."""
    model = OpenVINOBackend(program, 1).compiled(shape, (program.output, ))
    nodes = model.engine.get_runtime_model().get_ops()
    return [node.get_rt_info()['layerType'].value for node in nodes]


def test_layers_run_on_bits():
    types = layer_types((1, 3, 32, 32), reactnet())
    assert types.count('BinaryConvolution') == 8
    assert types.count('FakeQuantize') == 6
    assert types.count('Convolution') == 1
    # Scale, shift, shortcut and RPReLU are merged where nothing is doubled.
    assert types.count('Eltwise') + types.count('Subgraph') == 6


def test_memory_of_bits():
    """1-bit weights take one bit each in a model."""
    program, size = reactnet(((256, 1), ), 128), 0
    for node in build_model(program, (1, 3, 32, 32), ['fc']).get_ops():
        if node.get_type_name() == 'Constant':
            size += node.get_byte_size()
    binary = 128 * 128 * (9 + 1 + 1) / 8
    assert binary < size < binary + 40_000


def expect_equal_layers(program, x):
    """Each layer as the reference's, from the same inputs."""
    names = [op.name for op in program.operations]
    results = OpenVINOBackend(program, 1).run(x, names)
    results[INPUT] = x
    for op in program.operations:
        expected = run_operation(op, *(results[name] for name in op.inputs))
        if expected.dtype == np.int8:
            np.testing.assert_array_equal(results[op.name], expected)
        else:
            np.testing.assert_allclose(
                results[op.name],
                expected,
                1e-5,
                1e-5 * np.abs(expected).max(),
                err_msg=op.name)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_usual_network():
    expect_equal_layers(reactnet(), normal(2, 3, 32, 32))


@pytest.mark.parametrize('seeds', [
    range(15),
    pytest.param(range(1000, 1300), marks=pytest.mark.slow),
])
def test_any_program(seeds):
    for seed in seeds:
        program = any_program(seed)
        expect_equal_layers(program, normal(2, *program.input_shape))


# All numbers exact, whatever is merged


def expect_programs(seeds):
    for seed in seeds:
        program, x = random_program(seed)
        names = [op.name for op in program.operations]
        for wanted in ([program.output], names, [names[0], program.output]):
            try:
                expect_equal(program, x, wanted)
            except BaseException as error:
                raise AssertionError(f'seed {seed}, {wanted}') from error


def run_in_subprocess(call):
    """A crash is then an exit code; freed memory is overwritten."""
    code = f'import {__name__} as t; t.{call}; print(1)'
    result = subprocess.run([sys.executable, '-c', code],
                            cwd=Path(__file__).parent,
                            env=dict(os.environ, MALLOC_PERTURB_='165'),
                            capture_output=True,
                            text=True)
    assert (result.returncode, result.stdout) == (0, '1\n'), result.stderr


@pytest.mark.parametrize('seeds', [
    range(12),
    pytest.param(range(1000, 1300), marks=pytest.mark.slow),
])
def test_random_programs(seeds):
    """What OpenVINO merges gives the same numbers, and does not crash."""
    run_in_subprocess(f'expect_programs({seeds!r})')


def expect_empty_windows():
    """No tap of the convolution meets the image, which is one column."""
    draft = Draft(np.random.default_rng(0), 8, (3, 1))
    y = draft.add(ops.Conv2d, INPUT, draft.quarters(16, 8, 3, 1),
                  draft.quarters(16), (2, 2), (2, 1), (1, 2))
    expect_equal(draft.finish(y), draft.quarters(2, 8, 3, 1))


def test_empty_windows():
    run_in_subprocess('expect_empty_windows()')


def expect_signals():
    """As after Ctrl+C or the end of a child, once backends are deleted."""
    seen = []
    signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    program, x = random_program(0)
    backends = [OpenVINOBackend(program) for _ in range(3)]
    for a_backend in backends:
        a_backend.run(x, [program.output])
    del a_backend
    while backends:
        backends.pop(0)
        gc.collect()
        os.kill(os.getpid(), signal.SIGUSR1)
    assert len(seen) == 3


def test_signals_after_models_are_deleted():
    """OpenVINO leaves freed memory as the stack of signal handlers."""
    run_in_subprocess('expect_signals()')


# What OpenVINO gets wrong if it is let


def conv(draft, x, channels=16, **kwargs):
    return draft.binary_conv(x, channels, (3, 3), padding=(1, 1), **kwargs)


def sum_for_a_sign_alone(draft):
    y = draft.add(ops.Add, (conv(draft, draft.sign(INPUT)), INPUT))
    return conv(draft, draft.sign(draft.rprelu(y)))


def shift_for_a_sign_alone(draft):
    y = draft.add(ops.Affine, INPUT, draft.powers(16), draft.quarters(16))
    return conv(draft, draft.sign(y))


def two_equal_signs(draft):
    """OpenVINO makes them one, which then alone reads the sum."""
    y = draft.add(ops.Add, (conv(draft, draft.sign(INPUT)), INPUT))
    signs = [
        draft.add(ops.Sign, y, np.zeros(16, np.float32), np.ones(16, np.uint8))
        for _ in range(2)
    ]
    return draft.add(ops.Concat, [conv(draft, sign) for sign in signs])


def max_pooled(draft, channels):
    weight = draft.quarters(channels, 16, 1, 1)
    y = draft.add(ops.Conv2d, INPUT, weight, draft.quarters(channels))
    return draft.add(ops.MaxPool2d, y, (2, 2), (2, 2))


def abs_after_max_pool(draft):
    return draft.add(ops.Abs, max_pooled(draft, 16))


def negative_slope_after_max_pool(draft):
    parts = []
    for channels in (1, 16):
        slope = np.full(channels, -0.5, np.float32)
        parts.append(
            draft.add(ops.RPReLU, max_pooled(draft, channels), 0 * slope,
                      slope, 0 * slope))
    return draft.add(ops.Concat, parts)


def padded_1x1_convolution(draft):
    x = draft.add(ops.Clamp, INPUT)
    return draft.add(ops.Conv2d, x, draft.quarters(5, 16, 1, 1),
                     draft.quarters(5), (2, 2), (1, 1))


def one_column_of_one_channel(draft):
    x = draft.add(ops.Slice, INPUT, 0, 1)
    return draft.add(ops.Conv2d, x, draft.quarters(8, 1, 3, 5),
                     draft.quarters(8), (1, 2))


def copies_of_one_channel(draft):
    x = draft.add(ops.Slice, INPUT, 0, 1)
    x = draft.add(ops.AvgPool2d, x, (2, 2), (2, 2))
    draft.add(ops.Concat, (x, x, x))
    return draft.rprelu(x)


def scaled_sums_at_a_threshold(draft):
    """Sums that are 0 stay 0 with any scale."""
    z = draft.sign(draft.add(ops.Slice, INPUT, 0, 6))
    y = draft.add(ops.BinaryConv2d, z,
                  pack(draft.rng.normal(size=(16, 3, 3, 6))),
                  np.linspace(0.1, 0.7, 16, dtype=np.float32),
                  np.zeros(16, np.float32), 6, (1, 1), (1, 1))
    zero = np.zeros(16, np.float32)
    return draft.add(ops.Sign, y, zero, zero.astype(np.uint8))


def sign_with_other_readers(draft):
    z = draft.sign(INPUT)
    y = draft.add(ops.Add, (conv(draft, z), z))
    return draft.add(ops.Concat, (y, conv(draft, z), conv(draft, z, groups=2)))


def parts_of_signs(draft):
    z = draft.add(ops.Concat, (draft.sign(INPUT), draft.sign(INPUT)))
    z = draft.add(ops.Slice, z, 8, 24)
    y = conv(draft, z)
    return draft.add(ops.Add, (y, draft.add(ops.ChannelMean, z)))


def linear_on_bits(draft):
    z = draft.sign(draft.add(ops.AdaptiveAvgPool2d, INPUT))
    z = draft.add(ops.Flatten, z)
    x = draft.add(ops.Linear, z, draft.quarters(24, 16), draft.quarters(24))
    return draft.add(ops.BinaryLinear, draft.sign(x),
                     pack(draft.rng.normal(size=(5, 24))), draft.powers(5),
                     draft.quarters(5), 24)


@pytest.mark.parametrize('build', [
    sum_for_a_sign_alone, shift_for_a_sign_alone, two_equal_signs,
    abs_after_max_pool, negative_slope_after_max_pool, padded_1x1_convolution,
    one_column_of_one_channel, copies_of_one_channel,
    scaled_sums_at_a_threshold, sign_with_other_readers, parts_of_signs,
    linear_on_bits
])
def test_faults_are_avoided(build):
    draft = Draft(np.random.default_rng(0), 16, (6, 6))
    program = draft.finish(build(draft))
    x = draft.quarters(3, 16, 6, 6)
    expect_equal(program, x)
    expect_equal(program, x, [op.name for op in program.operations])


@pytest.mark.parametrize('between', [None, ops.Clamp, ops.Sigmoid])
@pytest.mark.parametrize('channels', [1, 16])
@pytest.mark.parametrize('cls,attributes', [
    (ops.Hardswish, {}),
    (ops.SiLU, {}),
    (ops.GELU, {}),
    (ops.GELU, dict(approximate=True)),
    (ops.ELU, dict(alpha=-0.5)),
])
def test_functions_that_fall_after_a_max_pool(cls, attributes, channels,
                                              between):
    """OpenVINO joins them with the convolution before the pooling."""
    draft = Draft(np.random.default_rng(0), 16, (6, 6))
    y = max_pooled(draft, channels)
    y = draft.add(between, y) if between else y
    program = draft.finish(draft.add(cls, y, **attributes))
    expect_equal_layers(program, normal(2, 16, 6, 6))
    x = normal(2, 16, 6, 6)
    expected, = ReferenceBackend(program).run(x, [program.output]).values()
    result, = OpenVINOBackend(program, 1).run(x, [program.output]).values()
    np.testing.assert_allclose(result, expected, 1e-5, 1e-5)


# The backend


def small_program():
    draft = Draft(np.random.default_rng(0), 8, (6, 6))
    draft.sign(INPUT, name='sign')
    draft.binary_conv('sign', 8, (3, 3), name='conv', padding=(1, 1))
    return draft.finish('conv')


def test_sizes_batches_and_sets_of_results(monkeypatch):
    """One model for each, the latest of which are kept."""
    program, built = small_program(), []

    def build(program, shape, names, one_bit):
        built.append((shape, names))
        return build_model(program, shape, names, one_bit)

    monkeypatch.setattr(backend, 'build_model', build)
    monkeypatch.setattr(backend, 'MODELS_KEPT', 4)
    engine, reference = OpenVINOBackend(program, 1), ReferenceBackend(program)
    shapes = [(1, 8, 6, 6), (2, 8, 6, 6), (7, 8, 3, 9), (1, 8, 1, 1)]
    for shape in shapes * 2:
        x = normal(*shape)
        result = engine.run(x, ['conv'])['conv']
        np.testing.assert_array_equal(result,
                                      reference.run(x, ['conv'])['conv'])
    assert built == [(shape, ('conv', )) for shape in shapes]
    assert set(engine.run(x, ['sign', 'conv', 'sign'])) == {'sign', 'conv'}
    engine.run(x, ['conv', 'sign'])
    engine.run(x, ['conv'])
    assert built[4:] == [(shapes[3], ('conv', 'sign'))]
    engine.run(np.zeros(shapes[0], np.float32), ['conv'])  # was dropped
    assert built[5:] == [(shapes[0], ('conv', ))]


@pytest.mark.parametrize('x', [
    np.ones((1, 8, 6, 6)),
    np.ones((2, 8, 6, 12), np.float32)[:, :, :, ::2],
    np.ones((1, 6, 6, 8), np.float32).transpose(0, 3, 1, 2)
])
def test_any_array(x):
    expect_equal(small_program(), x)


@pytest.mark.parametrize('hint', ['latency', 'throughput'])
def test_threads_call_at_the_same_time(hint):
    program = reactnet()
    inputs = normal(40, 2, 3, 32, 32)
    engine = OpenVINOBackend(program, 2, hint)

    def run(x):
        return engine.run(x, ['fc'])['fc']

    serial = [run(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for result, expected in zip(pool.map(run, inputs), serial):
            np.testing.assert_array_equal(result, expected)


def test_packed_model(packed):
    """As a user calls it."""
    x = normal(2, 3, 9, 9)
    model, reference = (
        PackedModel(packed, name) for name in ('openvino', 'reference'))
    assert model.backend.name == 'openvino'
    np.testing.assert_allclose(model(x), reference(x), 1e-5, 1e-5)
    for result, expected in zip(model.features(x), reference.features(x)):
        np.testing.assert_allclose(result, expected, 1e-5, 1e-5)


class Cube(ops.Operation):
    pass


def test_errors(monkeypatch):
    program = small_program()
    engine = OpenVINOBackend(program, 1)
    x = np.zeros((1, 8, 6, 6), np.float32)
    with pytest.raises(ProgramError, match="no operation 'no'"):
        engine.run(x, ['conv', 'no'])
    with pytest.raises(ProgramError, match='is for 8 channels'):
        engine.run(x[:, 1:], ['conv'])
    with pytest.raises(ProgramError, match='not .N, C, H, W.'):
        engine.run(x[0], ['conv'])
    with pytest.raises(ValueError, match="hint is 'speed'"):
        OpenVINOBackend(program, 1, 'speed')
    lacking = Program((8, 6, 6), [Cube('a', (INPUT, ))], 'a')
    with pytest.raises(ProgramError, match="lacks the operation cube .'a'"):
        OpenVINOBackend(lacking)


class WithoutBits(CompiledModel):

    def __init__(self, model, config):
        types = {node.get_type_name() for node in model.get_ops()}
        if 'BinaryConvolution' in types:
            raise RuntimeError('BinaryConvolution is not implemented')
        super().__init__(model, config)


class Wrong(CompiledModel):

    def __call__(self, x):
        return [y + 1 for y in super().__call__(x)]


def test_check_of_the_engine(monkeypatch):
    """Without 1-bit convolutions real ones do it; wrong numbers stop it."""
    check = check_engine.__wrapped__
    assert check() is True
    monkeypatch.setattr(backend, 'CompiledModel', WithoutBits)
    assert check() is False
    monkeypatch.setattr(backend, 'check_engine', check)
    program, x = backend.sample_program()
    expect_equal(program, x)
    monkeypatch.setattr(backend, 'CompiledModel', Wrong)
    with pytest.raises(RuntimeError, match='pip install openvino==2026'):
        OpenVINOBackend(program)


# OpenVINO IR


def test_export(tmp_path):
    program, path = reactnet(((256, 1), ), 128), tmp_path / 'new' / 'net.xml'
    size = export_openvino(program, path, 2,
                           dict(classes='["a b", "\\u00e9"]'))
    files = sorted(path.parent.iterdir())
    assert files == [path.with_suffix('.bin'), path]
    assert size == sum(file.stat().st_size for file in files)
    assert files[0].stat().st_size < 128 * 128 * 11 / 8 + 40_000
    model = shared_core().read_model(path)
    info = model.get_rt_info(['mmreact', 'classes'])
    assert info.astype(str) == '["a b", "\\u00e9"]'
    x = normal(2, 3, 32, 32)
    result = compiled(model)(dict(input=x))
    expected = ReferenceBackend(program).run(x, ['fc'])
    np.testing.assert_allclose(result['fc'], expected['fc'], 1e-5, 1e-5)


@pytest.mark.parametrize('seed', range(20))
def test_export_of_random_programs(seed, tmp_path):
    program, x = random_program(seed)
    export_openvino(program, tmp_path / 'a.xml', len(x))
    model = compiled(shared_core().read_model(tmp_path / 'a.xml'))
    expected, = ReferenceBackend(program).run(x, [program.output]).values()
    np.testing.assert_array_equal(model([x])[0], expected)


def test_export_errors(tmp_path):
    with pytest.raises(ValueError, match='does not end with .xml'):
        export_openvino(small_program(), tmp_path / 'net.bin')
    (tmp_path / 'net.xml').mkdir()
    with pytest.raises(OSError):
        export_openvino(small_program(), tmp_path / 'net.xml')
    assert not list(tmp_path.glob('.*'))
