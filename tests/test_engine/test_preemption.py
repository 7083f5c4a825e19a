"""SIGTERM: a checkpoint, an exit code, and the same training afterwards."""
import os
import shutil
import signal
import time

import pytest
import torch
from mmengine.runner import ValLoop

from mmreact import compat  # noqa: F401, lets torch read the checkpoints
from mmreact.engine import ResumableTrainLoop
from mmreact.engine.preemption import (EXIT_CODE, INTERRUPTED, Agreement,
                                       Preempted, arrived, deferred,
                                       handle_signals, leave)
from mmreact.engine.train_loop import _Rest


def terminate(signum=signal.SIGTERM):
    os.kill(os.getpid(), signum)
    time.sleep(0)  # Python's handler runs between two instructions


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def assert_same(a, b):
    """All that training goes on from."""
    a, b = (torch.load(path, weights_only=True) for path in (a, b))
    assert {
        k: a['meta'][k]
        for k in ('epoch', 'iter', 'seed')
    } == {
        k: b['meta'][k]
        for k in ('epoch', 'iter', 'seed')
    }
    flat = [], []
    for out, checkpoint in zip(flat, (a, b)):
        for key in ('state_dict', 'optimizer', 'param_schedulers',
                    'rng_states'):
            flatten(checkpoint[key], key, out)
    assert len(flat[0]) == len(flat[1]) > 50
    for (name, x), (other, y) in zip(*flat):
        assert name == other
        assert torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y, \
            name


def flatten(value, prefix, out):
    if isinstance(value, dict):
        value = value.items()
    elif isinstance(value, (list, tuple)):
        value = enumerate(value)
    else:
        out.append((prefix, value))
        return
    for key, inner in value:
        flatten(inner, f'{prefix}.{key}', out)


#: Where SIGTERM arrives: iterations done in all, of 4 an epoch; then what the
#: work directory holds.
MOMENTS = {
    'first iteration': (1, ['epoch_0_iter_1.pth']),
    'second epoch': (7, ['epoch_1.pth', 'epoch_1_iter_7.pth']),
    'last iteration of an epoch': (8, ['epoch_1.pth', 'epoch_2.pth']),
    'last iteration': (12, ['epoch_2.pth', 'epoch_3.pth']),
}


@pytest.mark.parametrize('moment', MOMENTS)
def test_resumed_equals_undisturbed(small_trained, small_train, monkeypatch,
                                    tmp_path, capsys, moment):
    at, left = MOMENTS[moment]
    run_iter, seen = ResumableTrainLoop.run_iter, []

    def count(self, idx, batch):
        run_iter(self, idx, batch)
        seen.append(self.iter)
        if len(seen) == at:
            terminate()

    monkeypatch.setattr(ResumableTrainLoop, 'run_iter', count)
    with pytest.raises(SystemExit) as error, handle_signals():
        small_train(tmp_path, 'one')
    assert error.value.code == EXIT_CODE == 75
    assert names(tmp_path) == left
    small_train(tmp_path, 'one', resume='auto')
    assert seen == [*range(1, 13)]  # none twice
    assert names(tmp_path) == ['epoch_2.pth', 'epoch_3.pth']
    assert_same(tmp_path / 'epoch_3.pth', small_trained / 'epoch_3.pth')
    word = 'complete' if at == 12 else f'resuming from {left[-1]}'
    assert f'one: {word}' in capsys.readouterr().out


@pytest.mark.slow
def test_twice_within_an_epoch(small_trained, small_train, monkeypatch,
                               tmp_path):
    run_iter, seen = ResumableTrainLoop.run_iter, []

    def count(self, idx, batch):
        run_iter(self, idx, batch)
        seen.append(idx)
        if len(seen) in (5, 6, 7):
            terminate()

    monkeypatch.setattr(ResumableTrainLoop, 'run_iter', count)
    for number in (5, 6, 7):
        with pytest.raises(Preempted), handle_signals():
            small_train(tmp_path, 'one', resume='auto')
        assert names(tmp_path) == ['epoch_1.pth', f'epoch_1_iter_{number}.pth']
    small_train(tmp_path, 'one', resume='auto')
    assert_same(tmp_path / 'epoch_3.pth', small_trained / 'epoch_3.pth')


def test_in_validation_it_ends_at_once(small_trained, small_train, monkeypatch,
                                       tmp_path):
    """The checkpoint is there already."""
    with monkeypatch.context() as patch:
        patch.setattr(ValLoop, 'run_iter', lambda *args: terminate())
        with pytest.raises(Preempted), handle_signals():
            small_train(tmp_path, 'one')
    assert names(tmp_path) == ['epoch_1.pth']
    small_train(tmp_path, 'one', resume='auto')
    assert_same(tmp_path / 'epoch_3.pth', small_trained / 'epoch_3.pth')


def test_another_batch_size_within_an_epoch(small_train, monkeypatch,
                                            tmp_path):
    """Possible only from the end of an epoch."""
    from mmreact.engine.stages import fingerprint
    monkeypatch.setattr(fingerprint, 'differences', lambda old, new: [])
    with monkeypatch.context() as patch:
        patch.setattr(ResumableTrainLoop, 'run_iter',
                      stop_after(ResumableTrainLoop.run_iter, 6))
        with pytest.raises(Preempted), handle_signals():
            small_train(tmp_path, 'one')
    assert 'epoch_1_iter_6.pth' in names(tmp_path)
    with pytest.raises(RuntimeError, match='after 2 of 4 batches.*has 2 now'):
        small_train(
            tmp_path,
            'one',
            resume='auto',
            **{'train_dataloader.batch_size': 16})


@pytest.fixture
def default_sigint():
    """Shells let background jobs ignore it, which is respected."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_saves(small_trained, small_train, monkeypatch, tmp_path, capfd,
                      default_sigint):
    """The first one as SIGTERM, with a code of its own."""
    with monkeypatch.context() as patch:
        patch.setattr(
            ResumableTrainLoop, 'run_iter',
            stop_after(ResumableTrainLoop.run_iter, 6, signal.SIGINT))
        with pytest.raises(SystemExit) as error, handle_signals():
            small_train(tmp_path, 'one')
    assert error.value.code == INTERRUPTED == 130
    assert names(tmp_path) == ['epoch_1.pth', 'epoch_1_iter_6.pth']
    assert 'Press it again to stop at once' in capfd.readouterr().err
    small_train(tmp_path, 'one', resume='auto')
    assert_same(tmp_path / 'epoch_3.pth', small_trained / 'epoch_3.pth')


def test_a_second_ctrl_c_ends_at_once(small_train, monkeypatch, tmp_path,
                                      default_sigint):
    """Within the iteration; nothing is written, nothing is lost."""
    calls = []

    def run_iter(self, idx, batch):
        calls.append(idx)
        terminate(signal.SIGINT)
        terminate(signal.SIGINT)
        raise AssertionError('still here')

    monkeypatch.setattr(ResumableTrainLoop, 'run_iter', run_iter)
    with pytest.raises(SystemExit) as error, handle_signals():
        small_train(tmp_path, 'one')
    assert error.value.code == INTERRUPTED and calls == [0]
    assert names(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize('signals, code', [
    ([signal.SIGINT], 130),
    ([signal.SIGTERM], 75),
    ([signal.SIGTERM, signal.SIGTERM], 75),
    ([signal.SIGTERM, signal.SIGINT], 130),
    ([signal.SIGINT, signal.SIGTERM], 75),
])
def test_codes(default_sigint, signals, code):
    """The last signal decides; only Ctrl+C twice is in a hurry."""
    with pytest.raises(SystemExit) as error, handle_signals():
        with deferred():
            for signum in signals:
                terminate(signum)
        assert Agreement().reached()
        leave()
    assert error.value.code == code


def test_an_ignored_ctrl_c_stays_ignored(default_sigint):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with handle_signals():
        terminate(signal.SIGINT)
        assert not arrived()


def stop_after(run_iter, number, signum=signal.SIGTERM):

    def run(self, idx, batch):
        run_iter(self, idx, batch)
        if self.iter == number:
            terminate(signum)

    return run


def test_only_updates_are_saved(small_train, monkeypatch, tmp_path):
    """With accumulated gradients, the next update is waited for."""
    monkeypatch.setattr(ResumableTrainLoop, 'run_iter',
                        stop_after(ResumableTrainLoop.run_iter, 5))
    with pytest.raises(Preempted), handle_signals():
        small_train(tmp_path, 'one',
                    **{'optim_wrapper.accumulative_counts': 2})
    assert 'epoch_1_iter_6.pth' in names(tmp_path)


def test_handler():
    before = signal.getsignal(signal.SIGTERM)
    with handle_signals():
        assert not arrived()
        with deferred():
            terminate()
            assert arrived()
        assert Agreement().reached()
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(Preempted) as error, handle_signals():
        assert not arrived()
        terminate()
        raise AssertionError('still here')
    assert error.value.code == EXIT_CODE
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_after_the_signal(capsys):
    """E.g. a connection to a process that has gone."""
    with pytest.raises(Preempted), handle_signals():
        with deferred():
            terminate()
            raise ValueError('Connection closed by peer')
    assert 'ValueError: Connection closed' in capsys.readouterr().err
    with pytest.raises(ValueError), handle_signals():
        raise ValueError


@pytest.mark.parametrize('skip', [0, 1, 4, 5])
def test_rest_of_a_sampler(skip):
    rest = _Rest([3, 1, 4, 1, 5], skip)
    assert [*rest] == [3, 1, 4, 1, 5][skip:]
    assert len(rest) == 5


def test_removed_once_it_is_overtaken(small_trained, tmp_path):
    """Also the one that a kill left between writing and removing."""
    from mmreact.engine.hooks import VerifiedCheckpointHook
    for name in ('epoch_1.pth', 'epoch_2.pth', 'epoch_2_iter_9.pth',
                 'epoch_3.pth', 'epoch_4.pth', 'iter_7.pth', 'best.pth'):
        shutil.copy(small_trained / 'epoch_3.pth', tmp_path / name)
    hook = VerifiedCheckpointHook(interval=1)
    hook.out_dir = str(tmp_path)
    hook._remove_before('epoch_3.pth')
    assert names(tmp_path) == [
        'best.pth', 'epoch_2.pth', 'epoch_3.pth', 'epoch_4.pth', 'iter_7.pth'
    ]
    hook.max_keep_ckpts = -1
    hook._remove_before('epoch_4.pth')
    assert len(names(tmp_path)) == 5
