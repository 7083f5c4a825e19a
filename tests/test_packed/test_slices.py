"""Large batches are run in slices, so that Ctrl+C ends them soon."""
import os
import signal
import threading

import numpy as np
import pytest
from programs import reactnet
from small_networks import build_program
from test_forks import BACKENDS

from mmreact.packed import Program, ops, slices
from mmreact.packed.backends import create_backend
from mmreact.packed.bits import pack

f32 = np.float32


def test_work_of_an_image():
    """By hand: numbers in and out, and multiplications."""
    conv = ops.Conv2d('conv', ('input', ), np.ones((4, 3, 3, 3), f32),
                      np.zeros(4, f32))
    sign = ops.Sign('sign', ('conv', ), np.zeros(4, f32),
                    np.zeros(4, np.uint8))
    bits = ops.BinaryConv2d('bits', ('sign', ), pack(np.ones((5, 2, 2, 4))),
                            np.ones(5, f32), np.zeros(5, f32), 4)
    program = Program((3, 8, 8), [conv, sign, bits], 'bits')
    numbers = [3 * 64, 4 * 36 + 3 * 64, 2 * 4 * 36, 5 * 25 + 4 * 36]
    products = [64 * 108, 36 * 5 * 4]
    assert slices.image_work(program, (3, 8, 8)) == sum(numbers + products)


@pytest.mark.parametrize('number,most,expected', [
    (1, 1, [1]),
    (5, 9, [5]),
    (9, 9, [9]),
    (10, 9, [5, 5]),
    (20, 9, [6, 7, 7]),
    (3, 1, [1, 1, 1]),
    (3, 0.1, [1, 1, 1]),
])
@pytest.mark.parametrize('threads', [1, 4])
def test_sizes(monkeypatch, number, most, expected, threads):
    program = build_program()
    work = slices.image_work(program, (3, 9, 9))
    monkeypatch.setattr(slices, 'WORK', -(-int(work * most) // threads))
    parts = slices.Slices(program, threads)((number, 3, 9, 9))
    images = [np.arange(number)[part] for part in parts]
    assert [len(part) for part in images] == expected
    assert np.array_equal(np.concatenate(images), np.arange(number))


@pytest.mark.parametrize('name', [*BACKENDS, 'openvino'])
def test_slices_give_what_the_batch_gives(monkeypatch, name):
    pytest.importorskip('openvino' if name == 'openvino' else 'numpy')
    program = build_program(width=64)
    names = [op.name for op in program.operations]
    x = np.random.default_rng(0).normal(size=(7, 3, 9, 9)).astype(f32)
    expected = create_backend(name, program, 1).run(x, names)
    monkeypatch.setattr(slices, 'WORK',
                        3 * slices.image_work(program, (3, 9, 9)))
    backend = create_backend(name, program, 1)
    assert len(backend._slices(x.shape)) == 3
    results = backend.run(x, names)
    for key in names:
        assert results[key].dtype == expected[key].dtype
        if name == 'native':
            assert np.array_equal(results[key], expected[key])
        else:  # their matrix products round as the number of rows wants it
            assert np.allclose(results[key], expected[key], 1e-5, 1e-6)


@pytest.mark.parametrize('name', BACKENDS)
def test_an_interrupt_ends_a_batch(monkeypatch, name):
    """It comes while a slice is computed; the next are not begun."""
    program = reactnet(((16, 1), ), 8)
    monkeypatch.setattr(slices, 'WORK', 1)
    backend = create_backend(name, program, 1)
    run, begun, started = backend._run, [], threading.Event()

    def count(*args):
        begun.append(1)
        started.set()
        return run(*args)

    monkeypatch.setattr(backend, '_run', count)

    def interrupt():
        started.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        backend.run(np.zeros((20000, 3, 16, 16), f32), ['fc'])
    thread.join()
    assert 1 <= len(begun) < 10000
    # It can be used as before.
    x = np.ones((1, 3, 16, 16), f32)
    assert np.array_equal(
        backend.run(x, ['fc'])['fc'],
        create_backend(name, program, 1).run(x, ['fc'])['fc'])
