"""Files are written in folders where others may have put links."""
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from zoo_server import cut_after, whole

from mmreact.packed.container import write
from mmreact.zoo import DownloadError, download, part_file
from mmreact.zoo.atomic_file import remove_leftovers, write_whole
from mmreact.zoo.rows import ZooFile

DATA = b'the file' * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
VICTIM = b'of somebody else'


@pytest.fixture
def server(make_server):
    return make_server(DATA)


@pytest.fixture
def cache(server):
    folder = download.cache_folder()
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / 'victim'
    path.write_bytes(VICTIM)
    return path


def remote(server, sha256=SHA256):
    return ZooFile('net.bin', f'{server.url}/net.bin', sha256,
                   len(DATA) if sha256 else None)


LINKS = {
    'symbolic link': lambda part, victim: part.symlink_to(victim),
    'relative link':
    lambda part, victim: part.symlink_to(os.path.relpath(victim, part.parent)),
    'hard link': lambda part, victim: os.link(victim, part),
    'link to nothing':
    lambda part, victim: part.symlink_to(victim.with_name('new')),
    'link to itself': lambda part, victim: part.symlink_to(part.name),
    'link to a link': lambda part, victim: (
        part.with_name('b').symlink_to(victim), part.symlink_to('b')),
    'pipe': lambda part, victim: os.mkfifo(part),
}  # yapf: disable


@pytest.mark.parametrize('source', ['http', 'http, nothing known', 'file'])
@pytest.mark.parametrize('kind', LINKS)
def test_a_part_that_is_no_file_is_replaced(server, cache, victim, tmp_path,
                                            monkeypatch, kind, source):
    file = remote(server, '' if 'nothing' in source else SHA256)
    if source == 'file':
        (tmp_path / 'mirror').mkdir()
        (tmp_path / 'mirror/net.bin').write_bytes(DATA)
        monkeypatch.setenv('MMREACT_ZOO_URL', (tmp_path / 'mirror').as_uri())
    path = download.cached_path(file)
    LINKS[kind](path.with_name(f'{path.name}.part'), victim)
    assert download.fetch(file).read_bytes() == DATA
    assert path.is_file() and not path.is_symlink()
    assert victim.read_bytes() == VICTIM and not (tmp_path / 'new').exists()


def test_a_link_that_comes_later(server, cache, victim):
    """Between the look and the opening."""
    server.plan = [cut_after(1000), whole]
    part = cache / 'net.bin.part'
    part.write_bytes(DATA[:10])
    assert part_file.arrived(part) == 10
    part.unlink()
    part.symlink_to(victim)
    with pytest.raises(OSError):
        part_file.open_part(part, 10)
    with part_file.open_part(part, 0) as f:
        f.write(b'x')
    assert victim.read_bytes() == VICTIM


def test_a_folder_in_the_way(server, cache):
    (cache / 'net.bin.part').mkdir()
    with pytest.raises(DownloadError, match='net.bin.part is no file of this'):
        download.fetch(remote(server))


def test_a_lock_that_is_a_link(server, cache, victim):
    (cache / 'net.bin.lock').symlink_to(victim)
    with pytest.raises(DownloadError, match='net.bin.lock is a link. Remove'):
        download.fetch(remote(server))
    assert victim.read_bytes() == VICTIM


@pytest.mark.parametrize('kind', [
    'symbolic link', 'relative link', 'hard link', 'link to nothing',
    'link to itself', 'pipe'
])
@pytest.mark.parametrize('function', [write_whole, write])
def test_a_target_that_is_a_link_is_replaced(tmp_path, victim, kind, function):
    path = tmp_path / 'folder/a.pth'
    path.parent.mkdir()
    LINKS[kind](path, victim)
    function(path, DATA)
    assert path.read_bytes() == DATA and stat.S_ISREG(os.lstat(path).st_mode)
    assert victim.read_bytes() == VICTIM and not (tmp_path / 'new').exists()
    assert os.listdir(path.parent) == ['a.pth']


def test_permissions_stay(tmp_path):
    path = tmp_path / 'a.pth'
    for mode in (0o600, 0o640, 0o664):
        path.write_bytes(b'old')
        path.chmod(mode)
        write_whole(path, DATA)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.unlink()


@pytest.mark.parametrize('name', ['a', 'ä' * 120, 'n' * 255, ' ', "a'b\n"])
def test_names(tmp_path, name):
    write_whole(tmp_path / name, DATA)
    write_whole(tmp_path / name, b'')
    assert os.listdir(tmp_path) == [name]


def test_what_is_in_the_way_is_named(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'a', tmp_path / 'file/b', tmp_path / ('n' * 256)):
        with pytest.raises(OSError, match='Cannot be written') as error:
            write_whole(path, DATA)
        assert error.value.filename == str(path)
    assert sorted(os.listdir(tmp_path)) == ['a', 'file']


def test_a_read_only_folder_is_named(tmp_path):
    folder = tmp_path / 'a'
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root may write anywhere
        folder = '/proc/self'
    with pytest.raises(OSError, match='Cannot be written'):
        write_whole(f'{folder}/b', DATA)


WRITER = '''
import os, sys, time
from mmreact.zoo.atomic_file import write_whole
def wait(path, data):
    print(path, flush=True)
    time.sleep(600)
write_whole(sys.argv[1], b'half' * 1000, wait)
'''


@pytest.fixture
def writer(tmp_path):
    """A process that has written a file and not yet given it its name."""
    with subprocess.Popen([sys.executable, '-c', WRITER, tmp_path / 'a.pth'],
                          stdout=subprocess.PIPE,
                          text=True) as process:
        process.stdout.readline()
        yield process
        process.kill()


def old(folder):
    """Files that were changed an hour ago, by name."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600, ) * 2)
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_is_removed(writer, tmp_path):
    (tmp_path / '.a.pth.writing').write_text('')
    (tmp_path / '.a.0123456789abcdef0123456789abcdef').write_text('')
    names = old(tmp_path)
    assert len(names) == 3
    write_whole(tmp_path / 'b.pth', DATA)  # its writer lives
    assert set(names) < set(os.listdir(tmp_path))
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    write_whole(tmp_path / 'c.pth', DATA)
    assert sorted(os.listdir(tmp_path)) == [
        '.a.0123456789abcdef0123456789abcdef', '.a.pth.writing', 'b.pth',
        'c.pth'
    ]


def test_what_is_new_stays(writer, tmp_path):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    write_whole(tmp_path / 'b.pth', DATA)
    assert len(os.listdir(tmp_path)) == 2
    remove_leftovers(tmp_path, age=0)
    assert os.listdir(tmp_path) == ['b.pth']


@pytest.mark.parametrize('kind', ['symbolic link', 'link to nothing', 'pipe'])
def test_no_leftovers(tmp_path, victim, kind):
    """Links and pipes of such names are left alone, and not opened."""
    folder = tmp_path / 'folder'
    folder.mkdir()
    path = folder / f'.a.{"0" * 32}.writing'
    LINKS[kind](path, victim)
    (folder / f'.b.{"0" * 32}.writing').mkdir()
    remove_leftovers(folder, age=-1)
    assert len(os.listdir(folder)) == 2 and victim.read_bytes() == VICTIM
    remove_leftovers(tmp_path / 'no such folder')
