"""A process that has a model forks, as data loaders and pools do.

The child computes what the parent does, or is told at once that it cannot. It
is ended by an alarm if it waits for threads or locks of its parent.
"""
import gc
import multiprocessing
import os
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from programs import reactnet

from mmreact.packed import PackedFile, PackedModel, native
from mmreact.packed.backends import create_backend
from mmreact.packed.forks import ForkGate
from mmreact.packed.reference import ReferenceBackend

PROGRAM = reactnet(((32, 1), ), 16)
X = np.random.default_rng(0).normal(size=(2, 3, 24, 24)).astype(np.float32)
EXPECTED = ReferenceBackend(PROGRAM).run(X, ['fc'])['fc']
BACKENDS = ['reference', 'native']
try:
    native.library()
except ImportError:
    BACKENDS.remove('native')


def agrees(backend):
    got = backend.run(X, ['fc'])['fc']
    return np.allclose(got, EXPECTED, 1e-3, 1e-3 * np.abs(EXPECTED).max())


def in_child(function):
    """What a child answers, true or false."""
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            signal.alarm(600)
            code = 7 if function() else 8
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (7, 8), code
    return code == 7


@contextmanager
def busy(work):
    """Another thread does something again and again."""
    stop = threading.Event()

    def loop():
        while not stop.is_set():
            work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        time.sleep(0.02)
        yield
    finally:
        stop.set()
        thread.join()


def nothing():
    time.sleep(0.01)


def plans(model):
    """Each call meets a shape that it does not know."""
    heights = iter(range(10**6))
    return lambda: model.run(X[:1, :, :next(heights) % 16 + 8], ['fc'])


WORK = dict(
    asleep=lambda model: nothing,
    running=lambda model: lambda: model.run(X, ['fc']),
    planning=plans,
    loading=lambda model: lambda: type(model)(PROGRAM, 2))


@pytest.mark.parametrize('work', WORK)
@pytest.mark.parametrize(
    'name,threads',
    [(name, threads) for name in BACKENDS
     for threads in (1, 3) if (name, threads) != ('reference', 3)])
def test_a_child_runs_deletes_and_loads(name, threads, work):
    model = create_backend(name, PROGRAM, threads)
    assert agrees(model)

    def child():
        nonlocal model
        same = agrees(model) and agrees(model)
        del model
        gc.collect()
        return same and agrees(create_backend(name, PROGRAM, 2))

    with busy(WORK[work](model)):
        assert all([in_child(child) for _ in range(3)])
    assert agrees(model)


@pytest.mark.parametrize('name', BACKENDS)
def test_threads_of_a_child_and_its_children(name):
    """A child's first calls come at once from four threads, then it forks."""
    model = create_backend(name, PROGRAM, 2)
    agrees(model)

    def child():
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(agrees(model)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results == [True] * 4 and in_child(lambda: agrees(model))

    with busy(lambda: model.run(X, ['fc'])):
        assert all([in_child(child) for _ in range(3)])


def test_openvino_says_no():
    """At once, whatever another thread is at, also for a new model."""
    pytest.importorskip('openvino')
    model = create_backend('openvino', PROGRAM, 2)
    assert agrees(model)

    def child():
        for call in (lambda: model.run(X, ['fc']),
                     lambda: create_backend('openvino', PROGRAM)):
            with pytest.raises(RuntimeError, match="backend='native'"):
                call()
        return all(agrees(create_backend(name, PROGRAM)) for name in BACKENDS)

    with busy(lambda: model.run(X, ['fc'])):
        assert all([in_child(child) for _ in range(3)])
    assert agrees(model)


MODEL = None


def run_inherited(image):
    return MODEL(image[None])[0]


def run_given(argument):
    model, image = argument
    return model(image[None])[0]


@pytest.mark.parametrize('name', BACKENDS)
def test_a_pool_runs_an_inherited_model(name):
    global MODEL
    MODEL = PackedModel(PackedFile(PROGRAM), name, threads=2)
    expected = MODEL(X)
    with busy(lambda: MODEL(X)):
        with multiprocessing.get_context('fork').Pool(2) as pool:
            results = pool.map_async(run_inherited, list(X)).get(600)
    assert np.array_equal(results, expected)


def test_a_spawned_pool_gets_a_model():
    model = PackedModel(PackedFile(PROGRAM), 'reference')
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        results = pool.map_async(run_given, [(model, x) for x in X]).get(600)
    assert np.allclose(results, EXPECTED)


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_of_a_data_loader(method):
    torch = pytest.importorskip('torch')
    data = Classified(PackedModel(PackedFile(PROGRAM), BACKENDS[-1], 2))
    expected = np.stack([data[i] for i in range(2)])
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=2,
        num_workers=1,
        timeout=600,
        multiprocessing_context=method)
    got, = loader
    assert np.array_equal(got.numpy(), expected)


class Classified:
    """A data set of what a model says."""

    def __init__(self, model):
        self.model = model

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return self.model(X[index:index + 1])[0]


# The gate


def test_a_fork_waits_for_who_is_inside():
    gate, inside, leave = ForkGate(), threading.Event(), threading.Event()
    order = []

    def work():
        with gate:
            inside.set()
            leave.wait()
            order.append('left')

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait()
    threading.Timer(0.1, leave.set).start()
    assert in_child(lambda: not gate._inside)
    assert order == ['left']
    worker.join()
    with gate:  # its own thread does not wait for itself
        assert in_child(lambda: True)
    with gate:
        pass
