"""What a program checks when it is built, and how the reference runs it."""
import re

import numpy as np
import pytest

from mmreact.packed import INPUT, Program, ProgramError, ops
from mmreact.packed.ops import Value
from mmreact.packed.reference import ReferenceBackend, run_operation


def chain(*names):
    """Operations, each on the one before."""
    sources = (INPUT, *names)
    return [ops.Abs(n, (source, )) for source, n in zip(sources, names)]


ABS = ops.Abs('one', (INPUT, ))
BAD = [
    ([ABS, ABS], 'one', (), "Two operations are named 'one'"),
    ([ops.Abs(INPUT, (INPUT, ))], INPUT, (), "Two operations are named 'inp"),
    ([ops.Abs('one', ('one', ))], 'one', (), "takes 'one', which comes later"),
    ([ops.Abs('a', ('b', )), ops.Abs('b', ('a', ))], 'b', (),
     "abs 'a' takes 'b', which comes later or is itself"),
    ([ops.Abs('a', ('no', ))], 'a', (), "takes 'no', which does not exist"),
    ([ABS], 'two', (), "The output 'two' does not exist"),
    ([ABS], INPUT, (), "The output 'input' does not exist"),
    ([ABS], 'one', ('two', ), "The output 'two' does not exist"),
    ([], 'one', (), "The output 'one' does not exist"),
    ([ops.Add('a', (INPUT, ))], 'a', (), "add 'a' takes 2 inputs, got 1"),
    ([ops.Clamp('a', (INPUT, ), 1., 0.)], 'a', (), "clamp 'a' has low > high"),
    ([ops.Flatten('f', (INPUT, )),
      ops.ChannelMean('a', ('f', ))], 'a', (),
     "channel_mean 'a' takes (N, C, H, W), got real 1x60"),
]


@pytest.mark.parametrize('operations,output,features,message', BAD)
def test_what_is_refused(operations, output, features, message):
    with pytest.raises(ProgramError, match=re.escape(message)):
        Program((3, 4, 5), operations, output, features)


@pytest.mark.parametrize('shape', [(), (3, 4), (3, 4, 5, 6), (0, 4, 5),
                                   (3, -4, 5), (3, 4, 1 << 25), (3., 4, 5),
                                   ('3', 4, 5), (True, 4, 5), (None, 4, 5)])
def test_bad_input_shapes(shape):
    with pytest.raises(ProgramError, match='positive sizes'):
        Program(shape, [ABS], 'one')


def test_a_deep_program():
    """No recursion, and nothing quadratic in the number of operations."""
    names = [f'n{i}' for i in range(20000)]
    program = Program((1, 1, 1), chain(*names), names[-1], names)
    result = ReferenceBackend(program).run(
        np.full((1, 1, 1, 1), -2, np.float32), names[-1:])
    assert result[names[-1]].item() == 2


def two_branches():
    return Program((2, 4, 4), [
        ops.Sign('sign',
                 (INPUT, ), np.zeros(2, np.float32), np.zeros(2, np.uint8)),
        ops.MaxPool2d('pool', (INPUT, ), (2, 2), (2, 2)),
        ops.AvgPool2d('mean', ('sign', ), (2, 2), (2, 2)),
        ops.Add('sum', ('pool', 'mean')),
        ops.Flatten('flat', ('sum', )),
    ], 'flat', ('sum', ))


def test_shapes_and_graph():
    program = two_branches()
    values = program.infer((2, 6, 4), batch=3)
    assert values == dict(
        input=Value('real', (3, 2, 6, 4)),
        sign=Value('sign', (3, 2, 6, 4)),
        pool=Value('real', (3, 2, 3, 2)),
        mean=Value('real', (3, 2, 3, 2)),
        sum=Value('real', (3, 2, 3, 2)),
        flat=Value('real', (3, 12)))
    names = {
        name: [op.name for op in operations]
        for name, operations in program.consumers().items()
    }
    assert names == dict(
        input=['sign', 'pool'],
        sign=['mean'],
        pool=['sum'],
        mean=['sum'],
        sum=['flat'],
        flat=[])
    assert program.find('sum') is program.operations[3]
    assert program.find('none') is None


def test_the_reference_gives_what_is_asked_for():
    program = two_branches()
    x = np.random.default_rng(0).normal(size=(3, 2, 6, 4)).astype(np.float32)
    values = program.infer(x.shape[1:], len(x))
    results = ReferenceBackend(program, threads=2).run(x, list(values))
    assert list(results) == list(values)
    for op in program.operations:
        inputs = [results[name] for name in op.inputs]
        assert np.array_equal(results[op.name], run_operation(op, *inputs))
        assert results[op.name].shape == values[op.name].shape
    assert list(ReferenceBackend(program).run(x, ['flat'])) == ['flat']
    with pytest.raises(ProgramError, match='window larger'):
        ReferenceBackend(program).run(x[:, :, :1], ['flat'])
