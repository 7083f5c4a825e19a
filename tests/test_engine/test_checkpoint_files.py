"""Checkpoints are verified, and a bad one never costs a good one."""
import io
import os
import random
import shutil

import pytest
import torch

from mmreact import compat  # noqa: F401, lets torch read the checkpoints
from mmreact.engine import atomic_backend
from mmreact.engine.checkpoint_files import (last_good, list_checkpoints,
                                             position)
from mmreact.utils.checkpoint import CheckpointError, verify_file

POSITIONS = {
    'epoch_1.pth': (1, 0),
    'epoch_10.pth': (10, 0),
    'a/b/epoch_2_iter_340.pth': (2, 340),
    'iter_5.pth': (5, 0),
    'epoch_x.pth': None,
    'epoch_1.pth.tmp': None,
    '.epoch_1.pth': None,
    'best_accuracy_epoch_1.pth': None,
    'epoch_1_iter_.pth': None,
    'epoch_1_mean.pth': None,
}


@pytest.mark.parametrize('name', POSITIONS)
def test_position(name):
    assert position(name) == POSITIONS[name]


def test_order(tmp_path):
    names = ('epoch_2_iter_9.pth', 'epoch_10.pth', 'epoch_2.pth',
             'epoch_2_iter_10.pth', 'epoch_3.pth', 'iter_99.pth',
             'epoch_a.pth')
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        'epoch_10.pth', 'epoch_3.pth', 'epoch_2_iter_10.pth',
        'epoch_2_iter_9.pth', 'epoch_2.pth'
    ]
    assert [p.name for p in list_checkpoints(tmp_path, 'iter')] == [names[5]]
    assert list_checkpoints(tmp_path / 'nowhere') == []


def flip(position):
    """Change one bit at a share of the file."""

    def damage(data):
        data = bytearray(data)
        data[int(position * (len(data) - 1))] ^= 16
        return bytes(data)

    return damage


DAMAGES = {
    'empty': lambda data: b'',
    'one byte': lambda data: data[:1],
    'half': lambda data: data[:len(data) // 2],
    'last byte cut': lambda data: data[:-1],
    'zeros': lambda data: bytes(len(data)),
    'text': lambda data: b'<html>404</html>',
    'first byte': flip(0),
    'weights': flip(0.5),
    'hole': lambda data: data[:4000] + bytes(4096) + data[8096:],
}


@pytest.fixture(scope='module')
def whole():
    """The bytes of a checkpoint."""
    file = io.BytesIO()
    torch.save(dict(state_dict=dict(w=torch.rand(5000))), file)
    return file.getvalue()


@pytest.mark.parametrize('name', DAMAGES)
def test_damage_is_found(whole, tmp_path, name):
    path = tmp_path / 'epoch_3.pth'
    path.write_bytes(DAMAGES[name](whole))
    with pytest.raises(CheckpointError, match='epoch_3.pth'):
        verify_file(path)


def test_any_changed_weight_is_found(whole, tmp_path):
    """20,000 of the file's bytes hold them."""
    path = tmp_path / 'a.pth'
    start = whole.index(
        torch.load(io.BytesIO(whole),
                   weights_only=True)['state_dict']['w'].numpy().tobytes())
    rng = random.Random(0)
    for _ in range(50):
        data = bytearray(whole)
        data[start + rng.randrange(20000)] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match='corrupt'):
            verify_file(path)
    path.write_bytes(whole)
    assert verify_file(path) == path


def test_formats_without_checksums_pass(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save({}, path, _use_new_zipfile_serialization=False)
    assert verify_file(path) == path


def test_last_good(whole, tmp_path):
    paths = [tmp_path / f'epoch_{n}.pth' for n in (3, 2, 1)]
    assert last_good([]) == (None, [])
    for path in paths:
        path.write_bytes(whole)
    assert last_good(paths) == (paths[0], [])
    paths[0].write_bytes(whole[:-1])
    paths[1].write_bytes(b'')
    good, errors = last_good(paths)
    assert good == paths[2]
    for path, error in zip(paths, errors):
        assert str(path) in error
    paths[2].write_bytes(b'')
    with pytest.raises(CheckpointError) as error:
        last_good(paths)
    for word in (*map(str, paths), 'No checkpoint', 'remove these files'):
        assert word in str(error.value)


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


@pytest.fixture
def work(small_trained, tmp_path):
    """A copy that was interrupted after the second of three epochs."""
    shutil.copytree(small_trained, tmp_path / 'work')
    (tmp_path / 'work' / 'epoch_3.pth').write_bytes(b'')
    shutil.copy(small_trained / 'epoch_3.pth', tmp_path / 'reference.pth')
    return tmp_path / 'work'


def same_weights(a, b):
    a, b = (torch.load(p, weights_only=True)['state_dict'] for p in (a, b))
    return all(torch.equal(a[key], b[key]) for key in a)


def test_two_are_kept(small_trained):
    assert names(small_trained) == ['epoch_2.pth', 'epoch_3.pth']
    last = (small_trained / 'last_checkpoint').read_text()
    assert last == str(small_trained / 'epoch_3.pth')


@pytest.mark.parametrize('damage', ['half', 'weights'])
def test_resume_goes_back_to_the_one_before(work, small_train, capsys, damage):
    """And what follows is the same training."""
    path = work / 'epoch_3.pth'
    path.write_bytes(DAMAGES[damage]((work / 'epoch_2.pth').read_bytes()))
    # Of MMEngine; it may name anything.
    (work / 'last_checkpoint').write_text(str(work / 'epoch_9.pth'))
    (work / '.epoch_3.pth.0123456789abcdef0123456789abcdef.writing').touch()
    with pytest.raises(RuntimeError, match='unfinished.*--resume'):
        small_train(work, 'one')
    small_train(work, 'one', resume='auto')
    out = capsys.readouterr().out
    assert f'WARNING: The checkpoint {path}' in out
    assert 'resuming from epoch_2.pth' in out
    assert same_weights(path, work.parent / 'reference.pth')
    assert (work / 'last_checkpoint').read_text() == str(path)
    assert names(work) == ['epoch_2.pth', 'epoch_3.pth']
    assert not list(work.glob('.epoch*'))  # of a run that was killed


def test_only_corrupt_checkpoints(work, small_train):
    (work / 'epoch_2.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='No checkpoint to resume'):
        small_train(work, 'one', resume='auto')
    assert names(work) == ['epoch_2.pth', 'epoch_3.pth']


def test_a_named_checkpoint_that_is_corrupt(work, small_train):
    """No other one is taken for it."""
    path = work / 'epoch_3.pth'
    path.write_bytes(DAMAGES['weights']((work / 'epoch_2.pth').read_bytes()))
    with pytest.raises(CheckpointError, match=f'{path} is corrupt'):
        small_train(work, 'one', resume=str(path))


def test_a_corrupt_final_checkpoint_is_handed_to_nobody(
        small_trained, small_train, tmp_path, capsys):
    """Stage two trains stage one's last epoch again."""
    work = tmp_path / 'work'
    shutil.copytree(small_trained, work / 'one')
    path = work / 'one' / 'epoch_3.pth'
    path.write_bytes(DAMAGES['weights'](path.read_bytes()))
    small_train(work, resume='auto', **{'two:train_cfg.max_epochs': 1})
    out = capsys.readouterr().out
    assert '[1/2] one: resuming from epoch_2.pth' in out
    assert same_weights(path, small_trained / 'epoch_3.pth')


@pytest.mark.parametrize('step', ['verify', 'replace'])
def test_removed_last(work, small_train, monkeypatch, step):
    """Whatever fails, both checkpoints before are still there."""
    shutil.copy(work / 'epoch_2.pth', work / 'epoch_1.pth')
    (work / 'epoch_3.pth').unlink()

    def fail(*args):
        raise OSError(28, 'No space left on device')

    target = dict(
        verify=(atomic_backend, 'verify'), replace=(os, 'replace'))[step]
    with monkeypatch.context() as patch:
        write = atomic_backend.AtomicLocalBackend.put

        def put(self, obj, path):
            if str(path).endswith('.pth'):
                patch.setattr(*target, fail)
            write(self, obj, path)

        patch.setattr(atomic_backend.AtomicLocalBackend, 'put', put)
        with pytest.raises(OSError, match='No space left'):
            small_train(work, 'one', resume='auto')
    assert names(work) == ['epoch_1.pth', 'epoch_2.pth']
    assert not list(work.glob('.epoch*'))
    small_train(work, 'one', resume='auto')
    assert names(work) == ['epoch_2.pth', 'epoch_3.pth']


def test_what_is_read_back_is_compared(tmp_path, monkeypatch):
    """A disk that loses a byte in silence."""
    path = tmp_path / 'a.pth'
    path.write_bytes(b'old')
    fsync = os.fsync

    def lose(descriptor):
        os.truncate(descriptor, 99)
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', lose)
    with pytest.raises(OSError, match='read back, from byte 99 of 100'):
        atomic_backend.AtomicLocalBackend().put(bytes(100), path)
    assert path.read_bytes() == b'old'
