"""A file is written whole or not at all."""
import errno
import os
import resource
import stat
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from mmengine.fileio import get_file_backend
from mmengine.runner.checkpoint import save_checkpoint

from mmreact import compat  # noqa: F401, lets torch read the checkpoints
from mmreact.engine import AtomicLocalBackend

NO_SPACE = OSError(errno.ENOSPC, 'No space left on device')


@pytest.fixture
def backend():
    backend = get_file_backend(backend_args=dict(backend='atomic'))
    assert isinstance(backend, AtomicLocalBackend)
    return backend


@pytest.mark.parametrize('nested', ['a.bin', 'new/folders/a.bin'])
@pytest.mark.parametrize('data', [b'', b'x', bytes(range(256)) * 5000])
def test_put(backend, tmp_path, data, nested):
    path = tmp_path / nested
    for content in (b'the old one, longer than x', data):
        backend.put(content, str(path))
        assert path.read_bytes() == content == backend.get(path)
        assert os.listdir(path.parent) == ['a.bin']


def test_put_text(backend, tmp_path):
    backend.put_text('Größe\n', tmp_path / 'a.txt')
    assert (tmp_path / 'a.txt').read_bytes() == 'Größe\n'.encode()
    backend.put_text('é', tmp_path / 'a.txt', encoding='latin-1')
    assert (tmp_path / 'a.txt').read_bytes() == b'\xe9'


@pytest.mark.parametrize('umask,mode', [(0o022, 0o644), (0o002, 0o664),
                                        (0o077, 0o600)])
def test_mode_follows_the_umask(backend, tmp_path, umask, mode):
    """As with open(): a checkpoint is for others to read too."""
    old = os.umask(umask)
    try:
        backend.put(b'x', tmp_path / 'a.bin')
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / 'a.bin').stat().st_mode) == mode


@contextmanager
def full_disk(size):
    """The kernel lets no file grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fail(error):

    def function(*args, **kwargs):
        raise error

    return function


@pytest.mark.parametrize('old', [None, b'old'])
@pytest.mark.parametrize('step,error', [('write', NO_SPACE),
                                        ('fsync', NO_SPACE),
                                        ('fsync', KeyboardInterrupt()),
                                        ('replace', NO_SPACE),
                                        ('replace', KeyboardInterrupt())])
def test_failure_leaves_the_old_file(backend, tmp_path, monkeypatch, step,
                                     error, old):
    path = tmp_path / 'latest.pth'
    if old is not None:
        path.write_bytes(old)
    with monkeypatch.context() as patch:
        if step != 'write':
            patch.setattr(os, step, fail(error))
        with pytest.raises(type(error)), full_disk(
                1000 if step == 'write' else resource.RLIM_INFINITY):
            backend.put(b'new' * 1000, path)
    assert os.listdir(tmp_path) == ([] if old is None else ['latest.pth'])
    if old is not None:
        assert path.read_bytes() == old
    backend.put(b'new', path)
    assert path.read_bytes() == b'new'


def test_folder_cannot_be_written(backend, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(OSError):
        backend.put(b'x', tmp_path / 'file' / 'a.bin')
    assert (tmp_path / 'file').read_text() == 'in the way'


def test_temporary_file_is_on_the_same_disk(backend, tmp_path, monkeypatch):
    """Elsewhere the renaming would not be atomic."""
    seen = []
    replace = os.replace

    def spy(source, target):
        seen.append((os.path.dirname(source), os.path.dirname(target)))
        replace(source, target)

    monkeypatch.setattr(os, 'replace', spy)
    backend.put(b'x', tmp_path / 'a.bin')
    assert seen == [(str(tmp_path), str(tmp_path))]


def test_checkpoints_use_it(tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    args = dict(backend_args=dict(backend='atomic'))
    save_checkpoint(dict(state_dict={}), str(path), **args)
    before = path.read_bytes()
    monkeypatch.setattr(os, 'replace', fail(NO_SPACE))
    with pytest.raises(OSError, match='No space'):
        save_checkpoint(dict(state_dict=dict(a=1)), str(path), **args)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ['epoch_1.pth']


def test_sigkill_while_a_checkpoint_is_written(tmp_path):
    """Killed again and again, the file is always one of the whole ones."""
    path = tmp_path / 'epoch_1.pth'
    whole = {bytes([value]) * (32 << 20) for value in b'ab'}
    script = """
import sys
import time
from mmreact.engine.atomic_backend import AtomicLocalBackend
while True:
    for value in b'ab':
        AtomicLocalBackend().put(bytes([value]) * (32 << 20), sys.argv[1])
        print(flush=True)
"""
    attempts = interrupted = 0
    while attempts < 2 or (not interrupted and attempts < 20):
        attempts += 1
        for stray in tmp_path.glob('.*'):
            stray.unlink()
        process = subprocess.Popen([sys.executable, '-c', script,
                                    str(path)],
                                   stdout=subprocess.PIPE)
        process.stdout.readline()  # one is whole
        end = time.monotonic() + 30
        while not list(tmp_path.glob('.epoch_1.pth.*')):
            if time.monotonic() > end:
                break
        process.kill()  # while the next one is written
        process.communicate()
        assert path.read_bytes() in whole
        interrupted += len(list(tmp_path.glob('.epoch_1.pth.*')))
    # A kill came before the renaming, if not in the first attempts.
    assert interrupted > 0
