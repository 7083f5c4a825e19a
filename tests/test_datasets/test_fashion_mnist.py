import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmreact.datasets import fashion_mnist as fm
from mmreact.datasets.fashion_mnist import (FILES, DatasetError, Spec,
                                            cache_folder, debian_fetched,
                                            downloaded, prepare_fashion_mnist,
                                            unpack, verify_fashion_mnist)

TINY = Spec(counts=dict(train=20, t10k=10))
TOOL = 'tools/dataset_converters/prepare_fashion_mnist.py'


def idx(array):
    """The bytes of an IDX file."""
    head = bytes(
        (0, 0, 8, array.ndim)) + np.array(array.shape, '>u4').tobytes()
    return head + array.astype(np.uint8).tobytes()


def write(folder, packed=False, **changed):
    """Write a tiny data set; ``changed`` replaces files by their number."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    files = []
    for count in TINY.counts.values():
        files.append(idx(rng.integers(0, 256, (count, 28, 28))))
        files.append(idx(np.arange(count) % 10))
    for i, name in enumerate(FILES):
        data = changed.get(f'file{i}', files[i])
        if packed:
            (folder / f'{name}.gz').write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


def prepare(tmp_path, *sources):
    """Prepare ``root`` with ``cache``; unnamed sources get a number."""
    return prepare_fashion_mnist(tmp_path / 'root', tmp_path / 'cache',
                                 [(f'source {i}', source)
                                  for i, source in enumerate(sources)], TINY)


def refuse(scratch):
    raise DatasetError('no luck')


def interrupt(scratch):
    write(scratch)
    raise KeyboardInterrupt


def never(scratch):
    raise AssertionError('this source must not be asked')


def test_verify_accepts_a_whole_data_set(tmp_path):
    verify_fashion_mnist(write(tmp_path), TINY)


@pytest.mark.parametrize('number, data, message', [
    (0, b'\x1f\x8b\x08\x03' + bytes(99), 'starts with 1f8b0803.*00000803'),
    (0, idx(np.zeros((20, 28, 28)))[:-1], '15695 bytes, expected 15696'),
    (0, idx(np.zeros((20, 28, 28))) + b'0', '15697 bytes, expected 15696'),
    (0, b'', 'starts with , expected the IDX magic'),
    (0, b'\0\0\x08\x03\0\0', 'has 6 bytes'),
    (0, idx(np.zeros((19, 28, 28))), r'\(19, 28, 28\), expected \(20, 28'),
    (2, idx(np.zeros((10, 27, 28))), r'\(10, 27, 28\), expected \(10, 28'),
    (1, idx(np.zeros(20)), r'\[20, 0, 0.*expected \[2, 2'),
    (1, idx(np.arange(19) % 10), r'2, 1\] labels'),
    (3, idx(np.arange(10) + 1), 'classes 0 to 10, expected'),
    (3, idx(np.zeros((10, 1))), 'expected the IDX magic 00000801'),
])
def test_verify_names_what_is_wrong(tmp_path, number, data, message):
    write(tmp_path, **{f'file{number}': data})
    with pytest.raises(DatasetError, match=f'{FILES[number]}.*{message}'):
        verify_fashion_mnist(tmp_path, TINY)


@pytest.mark.parametrize('name', FILES)
def test_verify_names_a_missing_file(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(DatasetError, match=f'{name} is missing'):
        verify_fashion_mnist(tmp_path, TINY)


def test_verify_tells_other_values_apart(tmp_path):
    spec = Spec(TINY.counts, {FILES[2]: '0' * 64})
    with pytest.raises(DatasetError, match=f'{FILES[2]}.*SHA-256'):
        verify_fashion_mnist(write(tmp_path), spec)


@pytest.mark.parametrize('damage', [
    lambda data: data[:-20],
    lambda data: b'<html>' + data,
    lambda data: data[:40] + bytes(40) + data[80:],
])
def test_damaged_gz_is_named(tmp_path, damage):
    path = write(tmp_path / 'in', packed=True) / f'{FILES[2]}.gz'
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=f'{FILES[2]}.gz is damaged'):
        unpack(tmp_path / 'in', tmp_path / 'out')


@pytest.mark.parametrize('packed', [False, True])
def test_prepare_leaves_the_four_raw_files_and_a_copy(tmp_path, packed):
    source = write(tmp_path / 'source', packed)
    root = prepare(tmp_path, lambda _: source)
    raw = write(tmp_path / 'raw')
    for folder in (root, tmp_path / 'cache/fashion_mnist'):
        assert sorted(os.listdir(folder)) == sorted(FILES)
        for name in FILES:
            assert (folder / name).read_bytes() == (raw / name).read_bytes()


def test_order_of_sources(tmp_path, capsys):
    prepare(tmp_path, refuse, write, never)
    assert 'root is prepared from source 1' in capsys.readouterr().out
    prepare(tmp_path, never)
    assert 'used as it is' in capsys.readouterr().out
    (tmp_path / 'root' / FILES[0]).unlink()
    prepare(tmp_path, never)
    assert 'prepared from the cached copy' in capsys.readouterr().out


def test_files_put_there_by_hand_are_used(tmp_path):
    write(tmp_path / 'root', packed=True)
    verify_fashion_mnist(prepare(tmp_path, never), TINY)


def test_failure_lists_all_that_was_tried(tmp_path):
    truncated = write(tmp_path / 'a', file0=b'short')
    with pytest.raises(DatasetError) as error:
        prepare(tmp_path, refuse, lambda _: truncated)
    message = str(error.value)
    assert 'the cached copy' in message
    assert 'source 0: no luck' in message
    assert f'source 1: {FILES[0]} starts with' in message
    assert f'into {tmp_path / "root"} by hand' in message
    assert all(f'\n  {name}.gz' in message for name in FILES)
    assert os.listdir(tmp_path / 'root') == []


def test_another_data_set_in_the_root_stays(tmp_path):
    other = idx(np.zeros(20))
    write(tmp_path / 'root', file1=other)
    with pytest.raises(DatasetError, match=f'{FILES[1]} is there but'):
        prepare(tmp_path, write, never)
    assert (tmp_path / 'root' / FILES[1]).read_bytes() == other


def test_interrupted_source_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, interrupt)
    assert os.listdir(tmp_path / 'root') == []


@pytest.mark.parametrize('stop', range(1, 8))
def test_interrupted_move_never_looks_whole(tmp_path, monkeypatch, stop):
    calls, replace = [], os.replace

    def stopping(src, dst):
        calls.append(dst)
        if len(calls) == stop:
            raise KeyboardInterrupt
        replace(src, dst)

    monkeypatch.setattr(fm.os, 'replace', stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, write)
    whole = [tmp_path / 'root', tmp_path / 'cache/fashion_mnist'][stop > 4:]
    for folder in whole:
        if folder.exists():
            with pytest.raises(DatasetError, match='is missing'):
                verify_fashion_mnist(folder, TINY)
    monkeypatch.undo()
    verify_fashion_mnist(prepare(tmp_path, write), TINY)


def test_damaged_cache_is_replaced(tmp_path):
    store = write(tmp_path / 'cache/fashion_mnist', file1=b'bad')
    prepare(tmp_path, write)
    verify_fashion_mnist(store, TINY)


def test_unusable_cache_is_no_failure(tmp_path, capsys):
    (tmp_path / 'cache').write_text('a file, not a folder')
    verify_fashion_mnist(prepare(tmp_path, write), TINY)
    assert 'no copy is kept' in capsys.readouterr().out


def test_cache_folder(monkeypatch):
    monkeypatch.delenv('MMREACT_CACHE', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', '/user')
    assert cache_folder() == Path('/user/mmreact/fashion_mnist')
    monkeypatch.setenv('MMREACT_CACHE', '/env')
    assert cache_folder() == Path('/env/fashion_mnist')
    assert cache_folder('/given') == Path('/given/fashion_mnist')


def fake_command(folder, name, body):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/log"\n{body}\n')
    path.chmod(0o755)


@pytest.mark.parametrize('known', [True, False])
def test_apt_uses_own_lists_only_if_needed(tmp_path, monkeypatch, known):
    source = write(tmp_path / 'source', packed=True)
    commands = tmp_path / 'commands'
    fails = 'echo "E: Unable to locate package" >&2; exit 100'
    fake_command(
        commands, 'apt-get', 'case "$*" in *update) exit 0;; '
        f'*State::lists=*) ;; *) {":" if known else fails};; esac; : > x.deb')
    fake_command(
        commands, 'dpkg-deb', f'mkdir -p "$3{fm.PACKAGE_FOLDER}" && '
        f'cp "{source}"/* "$3{fm.PACKAGE_FOLDER}"')
    monkeypatch.setenv('PATH', f'{commands}:{os.environ["PATH"]}')
    monkeypatch.chdir(tmp_path)
    verify_fashion_mnist(prepare(Path(), debian_fetched), TINY)
    cache = f'Dir::Cache={tmp_path / "root"}/'
    assert cache in (commands / 'log').read_text()
    done = [line.split()[-2:] for line in open(commands / 'log')]
    download = ['download', 'dataset-fashion-mnist']
    update = ['Acquire::Languages=none', 'update']
    assert done[:-1] == ([download] if known else [download, update, download])


def test_apt_failures_are_told(tmp_path, monkeypatch):
    commands = tmp_path / 'commands'
    monkeypatch.setenv('PATH', str(commands))
    with pytest.raises(DatasetError, match='this machine has no apt-get'):
        prepare(tmp_path, debian_fetched)
    fake_command(commands, 'apt-get', 'echo "E: no way" >&2; exit 100')
    with pytest.raises(DatasetError, match='apt-get: E: no way'):
        prepare(tmp_path, debian_fetched)


def test_download_tries_each_address(tmp_path, monkeypatch):
    addresses = [f'{(tmp_path / name).as_uri()}/' for name in ('no', 'yes')]
    monkeypatch.setattr(fm, 'ADDRESSES', addresses)
    with pytest.raises(DatasetError) as error:
        prepare(tmp_path, downloaded)
    assert all(address in str(error.value) for address in addresses)
    write(tmp_path / 'yes', packed=True)
    verify_fashion_mnist(prepare(tmp_path, downloaded), TINY)


def test_tool_fails_without_a_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, TOOL, '--root', tmp_path / 'no', '--verify-only'],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True)
    assert done.returncode == 1
    assert done.stderr == (f'Error: {tmp_path / "no"}: {FILES[0]} is '
                           'missing\n')
    assert not (tmp_path / 'no').exists()


@pytest.mark.slow
def test_mmpretrain_reads_the_real_thing(tmp_path):
    root = prepare_fashion_mnist(tmp_path / 'root', tmp_path / 'cache')
    from mmpretrain.datasets import FashionMNIST
    for split, test_mode, count in (('train', False, 60000), ('test', True,
                                                              10000)):
        data = FashionMNIST(
            str(root), split=split, test_mode=test_mode, download=False)
        assert len(data) == count
        labels = np.bincount([int(label) for label in data.get_gt_labels()])
        assert labels.tolist() == [count // 10] * 10
        assert data.get_data_info(0)['img'].shape == (28, 28)
