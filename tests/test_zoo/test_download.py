"""Each bad server ends in the right file or in an error that helps."""
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from email.utils import formatdate
from functools import partial

import numpy as np
import pytest
from zoo_server import (another_file, cut_after, endless, lying_length,
                        redirect, slow, stall_after, status, web_page, whole,
                        without_ranges)

from mmreact.zoo import DownloadError, ZooError, download, transfer
from mmreact.zoo.rows import ZooFile

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(
        transfer, 'PATIENCE',
        transfer.Patience(10., 10., 3, pause=.01, longest_wait=2.))


@pytest.fixture
def server(make_server):
    return make_server(DATA)


def remote(server, name='net.bin', sha256=SHA256, size=len(DATA)):
    return ZooFile(name, f'{server.url}/some/{name}', sha256, size)


#: Known to the catalogue: hash and size, its first digits only, nothing.
FULL = dict()
PREFIX = dict(sha256=SHA256[:8], size=None)
NOTHING = dict(sha256='', size=None)

# name -> what the requests meet, what is known, the error (None: the right
# file), the number of requests
ANSWERS = {
    'whole': ([whole], FULL, None, 1),
    'hash prefix': ([whole], PREFIX, None, 1),
    'nothing known': ([whole], NOTHING, None, 1),
    'redirects': ([redirect('/b'), redirect('/c'), whole], FULL, None, 3),
    'redirects in a circle': ([redirect('/a')], FULL, 'redirects', 31),
    'redirect elsewhere': ([redirect('ftp://a/b')], FULL, 'address', 1),
    'cut': ([cut_after(1000), whole], FULL, None, 2),
    'cut often': ([cut_after(50_000)], FULL, None, 6),
    'cut, prefix': ([cut_after(1000), whole], PREFIX, None, 2),
    'cut, nothing known': ([cut_after(1000), whole], NOTHING, None, 2),
    'cut, cannot continue': ([cut_after(1000),
                              cut_after(9), without_ranges], FULL, None, 3),
    'cut without a length': ([cut_after(1000, length=False),
                              whole], FULL, None, 2),
    'cut without a length, prefix':
    ([cut_after(1000, length=False)], PREFIX, 'its sha256 is', 1),
    'always cut at once': ([cut_after(0)], FULL, 'broke off; 3 tries', 3),
    'always cut there':
    ([cut_after(1000, ranges=False)], FULL, 'no more than 1000 bytes', 4),
    'announces more': ([lying_length(10)], FULL, '300010 bytes, the cat', 1),
    'announces more, prefix': ([lying_length(10), whole], PREFIX, None, 2),
    'announces more, nothing known':
    ([lying_length(10)], NOTHING, 'broke off; 3 tries', 4),
    'announces less': ([lying_length(-10)], FULL, '299990 bytes, the cat', 1),
    'announces less, prefix':
    ([lying_length(-10)], PREFIX, 'its sha256 is', 1),
    'other range': ([cut_after(1000),
                     partial(whole, wrong_start=1)], FULL, 'from 1000 on', 2),
    'endless': ([endless], FULL, 'more than the 300000 bytes', 1),
    '401': ([status(401)], FULL, 'answers 401: it wants a login', 1),
    '403': ([status(403)], FULL, 'answers 403: it refuses', 1),
    '404': ([status(404)], FULL, 'answers 404: there is no such file', 1),
    '418': ([status(418)], FULL, "answers 418: I'm a Teapot", 1),
    '204': ([status(204)], FULL, 'answers 204', 1),
    '503 once': ([status(503), whole], FULL, None, 2),
    '503 in 0 s': ([status(503, Retry_After=0), whole], FULL, None, 2),
    '503 at a time': ([status(503, Retry_After=formatdate(0)),
                       whole], FULL, None, 2),
    '503 some day': ([status(503, Retry_After='soon'), whole], FULL, None, 2),
    '503 in an hour': ([status(503, Retry_After=3600)], FULL,
                       'come back in 3600 s', 1),
    '503 always': ([status(503)], FULL, 'answers 503 .*; 3 tries', 3),
    '503, then the rest': ([cut_after(1000),
                            status(503), whole], FULL, None, 3),
    'web page': ([web_page()], FULL, 'a web page', 1),
    'web page, nothing known': ([web_page()], NOTHING, 'a web page', 1),
    'web page in disguise': ([web_page('application/octet-stream')], PREFIX,
                             'a web page', 1),
    'stalls': ([stall_after(1000), whole], FULL, None, 2),
    'stalls at once': ([stall_after(0)], FULL, 'nothing came for 0.5 s', 3),
    'wrong file': ([another_file], FULL, 'is not net.bin: its sha256', 1),
    'wrong file, prefix': ([another_file], PREFIX, 'is not net.bin', 1),
    'wrong file once continued': ([cut_after(1000),
                                   another_file], FULL, 'is not net.bin', 2),
    'empty': ([status(200)], PREFIX, '0 bytes', 1),
}


@pytest.mark.parametrize('answer', ANSWERS)
def test_answers(server, answer, monkeypatch):
    if 'stall' in answer:
        monkeypatch.setattr(transfer.PATIENCE, 'read', .5)
    server.plan, known, error, requests = ANSWERS[answer]
    file = remote(server, **known)
    path = download.cached_path(file)
    if error is None:
        assert download.fetch(file) == path
        assert path.read_bytes() == DATA
        assert not path.with_name('net.bin.part').exists()
        download.fetch(file)
    else:
        with pytest.raises(DownloadError, match=error) as caught:
            download.fetch(file)
        assert server.url in str(caught.value)
        assert not path.exists()
    assert len(server.asked) == requests


def test_it_waits_as_long_as_the_server_asks(server):
    server.plan = [status(503, Retry_After=1), whole]
    start = time.monotonic()
    download.fetch(remote(server))
    assert time.monotonic() - start >= 1


def test_continues_where_another_process_stopped(server):
    server.plan = [cut_after(1000), cut_after(0), cut_after(0), cut_after(0)]
    with pytest.raises(DownloadError, match='continues where it stopped'):
        download.fetch(remote(server))
    server.plan, server.asked = [whole], []
    download.fetch(remote(server))
    assert server.asked == [('/some/net.bin', 'bytes=1000-')]


def test_does_not_continue_without_a_hash(server):
    """The address could give another file by now."""
    file = remote(server, sha256='', size=None)
    part = download.cached_path(file)
    part.parent.mkdir()
    part.with_name(f'{part.name}.part').write_bytes(b'other')
    assert download.fetch(file).read_bytes() == DATA
    assert server.asked == [('/some/net.bin', None)]


@pytest.mark.parametrize('left', [b'other', DATA + b'x', DATA])
def test_what_was_left_of_another_file(server, left):
    """It is noticed by the hash, and the file is fetched from its start."""
    path = download.cached_path(remote(server))
    path.parent.mkdir()
    path.with_name('net.bin.part').write_bytes(left)
    assert download.fetch(remote(server)).read_bytes() == DATA
    assert len(server.asked) == (0 if left == DATA else
                                 1 if len(left) > len(DATA) else 2)


def test_the_right_file_is_not_fetched_again(server):
    file = remote(server)
    path = download.fetch(file)
    path.write_bytes(DATA[:-1] + b'?')  # damaged on the disk
    download.fetch(file)
    download.fetch(file)
    assert path.read_bytes() == DATA and len(server.asked) == 2


def test_a_read_only_cache_is_enough(server, monkeypatch):
    path = download.fetch(remote(server))
    for left in path.parent.glob('*.lock'):
        left.unlink()
    monkeypatch.setattr(download, '_locked', None)  # would write a lock
    assert download.fetch(remote(server)) == path


def test_two_files_of_one_name_without_a_hash(server):
    one = ZooFile('net.bin', f'{server.url}/one/net.bin')
    two = ZooFile('net.bin', f'{server.url}/two/net.bin')
    assert download.fetch(one) != download.fetch(two)


def test_offline(server, monkeypatch):
    monkeypatch.setenv('MMREACT_OFFLINE', '1')
    path = download.cached_path(remote(server))
    with pytest.raises(DownloadError) as caught:
        download.fetch(remote(server))
    for part in ('MMREACT_OFFLINE', str(path), server.url):
        assert part in str(caught.value)
    assert not server.asked and not path.parent.exists()
    path.parent.mkdir()
    path.write_bytes(DATA)  # as the message says
    assert download.fetch(remote(server)) == path
    monkeypatch.setenv('MMREACT_OFFLINE', '0')
    path.unlink()
    assert download.fetch(remote(server)) == path


def test_mirrors(server, tmp_path, monkeypatch):
    file = ZooFile('a b.bin', 'https://example.invalid/a b.bin', SHA256)
    monkeypatch.setenv('MMREACT_ZOO_URL', f'{server.url}/mirror/')
    download.fetch(file).unlink()
    assert server.asked == [('/mirror/a%20b.bin', None)]
    folder = tmp_path / 'my files'
    monkeypatch.setenv('MMREACT_ZOO_URL', folder.as_uri())
    monkeypatch.setenv('MMREACT_OFFLINE', '1')  # a file is no network
    with pytest.raises(DownloadError, match='no file .*my files/a b.bin'):
        download.fetch(file)
    folder.mkdir()
    (folder / 'a b.bin').write_bytes(DATA[1:])
    with pytest.raises(DownloadError, match='is not a b.bin'):
        download.fetch(file)
    (folder / 'a b.bin').write_bytes(DATA)
    assert download.fetch(file).read_bytes() == DATA
    monkeypatch.setenv('MMREACT_ZOO_URL', '/my/files')
    with pytest.raises(DownloadError, match="'/my/files', not an address"):
        download.source_address(file)


def test_no_address():
    with pytest.raises(DownloadError, match='at no address. Put it there: /'):
        download.fetch(ZooFile('net.bin', None, SHA256))


def test_nobody_listens(server):
    server.close()
    with pytest.raises(DownloadError, match='no connection'):
        download.fetch(remote(server))


def test_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('MMREACT_CACHE', str(tmp_path / 'file/cache'))
    with pytest.raises(DownloadError, match='MMREACT_CACHE names another'):
        download.fetch(remote(server))


def test_a_full_disk(server, monkeypatch):
    """Nothing appears under the name; what arrived is kept."""

    def full(self, *args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(transfer, '_write', full)
    with pytest.raises(DownloadError, match='No space left'):
        download.fetch(remote(server))
    assert not download.cached_path(remote(server)).exists()


def test_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv('MMREACT_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert download.cache_folder() == tmp_path / 'mmreact'


#: Another process that fetches a file, given as JSON.
FETCH = ('import json, sys\n'
         'from mmreact.zoo import download\n'
         'from mmreact.zoo.rows import ZooFile\n'
         'print(download.fetch(ZooFile(*json.loads(sys.argv[1]))))')


def start_process(file):
    arguments = json.dumps([file.name, file.url, file.sha256, file.bytes])
    return subprocess.Popen([sys.executable, '-c', FETCH, arguments],
                            stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL,
                            text=True)


def test_processes_share_one_transfer(server):
    server.plan = [slow(2)]
    processes = [start_process(remote(server)) for _ in range(3)]
    path = str(download.fetch(remote(server)))
    assert [p.communicate()[0].strip() for p in processes] == [path] * 3
    assert len(server.asked) == 1


def test_a_process_that_was_killed_holds_up_nobody(server):
    """Its lock goes with it and what it fetched is continued."""
    server.plan = [stall_after(1000), whole]
    file = remote(server)
    process = start_process(file)
    part = download.cached_path(file).with_name('net.bin.part')
    while not (part.exists() and part.stat().st_size == 1000):
        assert process.poll() is None
        time.sleep(.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not download.cached_path(file).exists()
    assert download.fetch(file).read_bytes() == DATA
    assert server.asked[1:] == [('/some/net.bin', 'bytes=1000-')]


def test_errors_are_one_family():
    assert issubclass(DownloadError, ZooError)
    assert issubclass(ZooError, ValueError)
