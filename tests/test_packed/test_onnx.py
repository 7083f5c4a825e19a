"""ONNX models of programs, run by ONNX Runtime, against the reference."""
import numpy as np
import onnx
import onnxruntime
import pytest
from programs import Draft, random_program, reactnet
from test_operations import CASES, value_of

from mmreact.packed import INPUT, OPERATIONS, Program, ProgramError, ops
from mmreact.packed.onnx import (OPSET, Graph, build_onnx, export_onnx,
                                 has_free_size)
from mmreact.packed.onnx_operations import BUILDERS
from mmreact.packed.reference import ReferenceBackend, run_operation


def run(model, names=None, **inputs):
    """Check a model and run it."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           ['CPUExecutionProvider'])
    return session.run(names, {
        name: x.astype(np.float32)
        for name, x in inputs.items()
    })


@pytest.mark.parametrize(
    'case', CASES, ids=[f'{i}-{c.func.__name__}' for i, c in enumerate(CASES)])
def test_operation(case):
    op, inputs, _ = case()
    values = dict(zip(op.inputs, map(value_of, inputs)))
    values['op'] = op.infer(*values.values())
    graph = Graph(values)
    graph.build(op)
    model = graph.model(op.inputs, ['op'], False)
    y, = run(model, **dict(zip(op.inputs, inputs)))
    expected = run_operation(op, *inputs)
    assert y.shape == expected.shape
    if expected.dtype == np.int8 or case.keywords.get('exact'):
        np.testing.assert_array_equal(y, expected)
    else:
        np.testing.assert_allclose(y, expected, 1e-5,
                                   1e-6 * np.abs(expected).max())


def test_no_operation_is_missing():
    assert set(BUILDERS) == set(OPERATIONS.values())


@pytest.mark.parametrize('seed', range(40))
def test_random_program(seed):
    """What ONNX Runtime merges gives the same numbers."""
    program, x = random_program(seed)
    names = [op.name for op in program.operations]
    expected = ReferenceBackend(program).run(x, names)
    for wanted in ([program.output], names):
        results = run(build_onnx(program, wanted), wanted, input=x)
        for name, result in zip(wanted, results):
            np.testing.assert_array_equal(result, expected[name], name)


@pytest.mark.parametrize('shape', [(1, 3, 32, 32), (3, 3, 32, 64),
                                   (2, 3, 33, 35)])
def test_any_batch_and_size(shape):
    program = reactnet()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    y, = run(build_onnx(program, ['fc']), input=x)
    expected = ReferenceBackend(program).run(x, ['fc'])['fc']
    np.testing.assert_allclose(y, expected, 1e-5, 1e-5)


def pool(cls, **kwargs):
    return lambda draft: draft.add(cls, INPUT, **kwargs)


HALVING = dict(kernel=(2, 2), stride=(2, 2), ceil_mode=True)


@pytest.mark.parametrize('build,free', [
    (pool(ops.AvgPool2d, **HALVING), True),
    (pool(ops.MaxPool2d, **HALVING), True),
    (pool(ops.AvgPool2d, kernel=(3, 3), padding=(1, 1)), True),
    (pool(ops.AvgPool2d, padding=(1, 1), **{
        **HALVING, 'kernel': (3, 3)
    }), False),
    (pool(ops.AvgPool2d, kernel=(2, 2), stride=(3, 3), ceil_mode=True), False),
    (pool(ops.MaxPool2d, padding=(1, 1), **HALVING), False),
    (pool(ops.AdaptiveAvgPool2d), True),
    (pool(ops.AdaptiveAvgPool2d, size=(2, 3)), False),
    (pool(ops.AdaptiveMaxPool2d), True),
    (pool(ops.AdaptiveMaxPool2d, size=(2, 3)), False),
    (pool(ops.Resize, vertical=2., horizontal=0.5), True),
    (pool(ops.Resize, vertical=4., horizontal=2., bilinear=True), True),
    (pool(ops.Resize, vertical=0.5, horizontal=0.5, bilinear=True), True),
    (pool(ops.Resize, vertical=1.5, horizontal=2.), False),
    (pool(ops.Resize, vertical=2., horizontal=3., bilinear=True), False),
    (pool(
        ops.Resize,
        vertical=2.,
        horizontal=2.,
        bilinear=True,
        align_corners=True), False),
    (pool(ops.Resize, size=(5, 4)), False),
    (pool(ops.Pad, channels=(1, 0), rows=(0, 2), value=0.5), True),
    (pool(ops.Crop, rows=(1, 0), columns=(0, 2), stride=(2, 1)), True),
    (pool(ops.ChannelShuffle, groups=4), True),
    (lambda draft: draft.add(ops.GroupNorm, INPUT, draft.quarters(8),
                             draft.quarters(8), 4), True),
    (lambda draft: draft.add(ops.LayerNorm, INPUT, draft.quarters(8),
                             draft.quarters(8)), True),
    (lambda draft: draft.add(
        ops.ConvTranspose2d,
        INPUT,
        draft.quarters(8, 3, 3, 3),
        draft.quarters(3),
        stride=(2, 2),
        output_padding=(1, 0)), True),
    (lambda draft: draft.add(ops.Scale, INPUT, draft.quarters(1, 7, 1)),
     False),
    (lambda draft: draft.add(ops.Scale, INPUT, draft.quarters(8, 1, 1)), True),
    (lambda draft: draft.add(ops.Linear, draft.add(ops.Flatten, INPUT),
                             draft.quarters(3, 8 * 7 * 9), draft.quarters(3)),
     False),
])
@pytest.mark.parametrize('size', [(7, 9), (14, 18), (6, 4)])
def test_free_sizes(build, free, size):
    """Height and width are open where the operations are for any size."""
    draft = Draft(np.random.default_rng(0), 8, (7, 9))
    program = draft.finish(build(draft))
    assert has_free_size(program) == free
    model = build_onnx(program, [program.output])
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value
            for d in dims] == (['N', 8, 'H', 'W'] if free else ['N', 8, 7, 9])
    x = np.random.default_rng(0).normal(size=(2, 8, *size))
    if free or size == (7, 9):
        x = x.astype(np.float32)
        y, = run(model, input=x)
        expected, = ReferenceBackend(program).run(x, [program.output]).values()
        np.testing.assert_allclose(y, expected, 1e-5, 1e-6)
    else:
        with pytest.raises(Exception, match='INVALID_ARGUMENT'):
            run(model, input=x)


def test_export(tmp_path):
    program = reactnet(((256, 1), ), 128)
    path = tmp_path / 'new' / 'net.onnx'
    size = export_onnx(program, path, dict(classes='["a b", "é"]'))
    assert list(path.parent.iterdir()) == [path]
    assert size == path.stat().st_size
    weights = 128 * 128 * 11
    assert weights < size < weights + 60_000
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [('', OPSET)]
    assert {
        p.key: p.value
        for p in model.metadata_props
    } == dict(classes='["a b", "é"]')
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert {op.name for op in program.operations} <= set(names)
    kinds = {node.op_type for node in model.graph.node}
    assert 'Where' in kinds and 'Sign' not in kinds


class Cube(ops.Operation):
    pass


def test_errors():
    draft = Draft(np.random.default_rng(0), 3, (4, 4))
    program = draft.finish(draft.sign(INPUT))
    with pytest.raises(ProgramError, match="no operation 'no'"):
        build_onnx(program, ['no'])
    lacking = Program((3, 4, 4), [Cube('a', (INPUT, ))], 'a')
    with pytest.raises(ProgramError, match="lacks the operation cube .'a'"):
        build_onnx(lacking, ['a'])
