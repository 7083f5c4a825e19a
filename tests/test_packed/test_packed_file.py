"""Packed files: what is written comes back, what is wrong is refused."""
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from mmreact.packed import (PackedFile, PackedFileError, Preprocessing,
                            Program, load_packed, ops, save_packed)
from mmreact.packed.ops import kind_of

GREY = Preprocessing(mean=(0., ), std=(1., ), channels='gray')


@pytest.fixture
def file(packed, tmp_path):
    save_packed(tmp_path / 'net.safetensors', packed)
    return tmp_path / 'net.safetensors'


def halved(op, name):
    return name == 'weight' and kind_of(type(op)) in ('conv2d', 'linear')


@pytest.mark.parametrize('real', ['fp32', 'fp16'])
def test_round_trip(packed, tmp_path, real):
    """Bit by bit, but for what fp16 rounds."""
    path = tmp_path / 'new folder' / 'net.safetensors'
    size = save_packed(path, packed, real)
    assert size == path.stat().st_size
    loaded = load_packed(path)
    assert (loaded.preprocessing, loaded.classes,
            loaded.source) == (packed.preprocessing, packed.classes,
                               packed.source)
    before, after = packed.program, loaded.program
    for name in ('input_shape', 'output', 'features'):
        assert getattr(before, name) == getattr(after, name)
    assert len(before.operations) == len(after.operations)
    for old, new in zip(before.operations, after.operations):
        assert (type(old), old.name, old.inputs) == (type(new), new.name,
                                                     new.inputs)
        for f in old.attribute_fields():
            value = getattr(new, f.name)
            assert getattr(old, f.name) == value
            assert type(getattr(old, f.name)) is type(value)
        for name, array in old.tensors().items():
            if real == 'fp16' and halved(old, name):
                array = array.astype(np.float16).astype(np.float32)
            read = new.tensors()[name]
            assert read.dtype == array.dtype and read.shape == array.shape
            assert read.tobytes() == array.tobytes()


@pytest.mark.parametrize('real', ['fp32', 'fp16'])
def test_the_library_reads_it(packed, tmp_path, real):
    """Names, types and strings are those of docs/packed_format.md."""
    path = tmp_path / 'net.safetensors'
    save_packed(path, packed, real)
    with safe_open(path, 'numpy') as f:
        metadata, names = f.metadata(), set(f.keys())
        tensors = {name: f.get_tensor(name) for name in names}
    assert set(metadata) == {
        'format', 'format_version', 'program', 'preprocessing', 'classes',
        'source'
    }
    assert metadata['format'] == 'mmreact-packed'
    assert metadata['format_version'] == '1'
    assert json.loads(metadata['classes']) == list(packed.classes)
    expected = {
        f'{op.name}.{name}': (op, name, array)
        for op in packed.program.operations
        for name, array in op.tensors().items()
    }
    assert names == set(expected)
    for key, (op, name, array) in expected.items():
        if real == 'fp16' and halved(op, name):
            array = array.astype(np.float16)
        assert tensors[key].dtype == array.dtype
        assert np.array_equal(tensors[key], array)


def test_without_preprocessing_classes_and_source(packed, tmp_path):
    save_packed(tmp_path / 'a', PackedFile(packed.program))
    loaded = load_packed(str(tmp_path / 'a'))
    assert (loaded.preprocessing, loaded.classes, loaded.source) == (None, (),
                                                                     {})


def test_equal_networks_give_equal_bytes(file, tmp_path):
    """In other processes too, where hashes have another seed."""
    for i in range(3):
        again = tmp_path / f'again{i}'
        subprocess.run([
            sys.executable, '-c', 'import sys; from mmreact.packed import *; '
            'save_packed(sys.argv[2], load_packed(sys.argv[1]))', file, again
        ], check=True)  # yapf: disable
        assert again.read_bytes() == file.read_bytes()


def test_other_strides_and_unicode(packed, tmp_path):
    program = packed.program
    conv = program.find('stem')
    conv.weight = np.asfortranarray(conv.weight)[:, :, ::-1]
    packed = replace(packed, classes=('ein', 'zwölf', '"\\', '五', 'a\nb\x01'))
    save_packed(tmp_path / 'a', packed)
    loaded = load_packed(tmp_path / 'a')
    assert loaded.classes == packed.classes
    assert np.array_equal(loaded.program.find('stem').weight, conv.weight)


def test_fp16_that_overflows(packed, file):
    before = file.read_bytes()
    packed.program.find('head.fc').weight[1, 2] = -65520
    with pytest.raises(
            PackedFileError,
            match="linear 'head.fc' has a weight of magnitude 65520"):
        save_packed(file, packed, 'fp16')
    assert file.read_bytes() == before
    save_packed(file, packed, 'fp32')
    packed.program.find('head.fc').weight[1, 2] = -65504
    # What is not a weight of these layers may be larger.
    packed.program.find('norm').scale[0] = 1e9
    save_packed(file, packed, 'fp16')
    loaded = load_packed(file).program
    assert loaded.find('head.fc').weight[1, 2] == -65504
    assert loaded.find('norm').scale[0] == np.float32(1e9)


def test_what_could_not_be_read_is_not_written(packed, file):
    before = file.read_bytes()
    with pytest.raises(PackedFileError, match="real is 'fp8'"):
        save_packed(file, packed, 'fp8')
    packed.program.find('norm').scale[0] = np.nan
    with pytest.raises(PackedFileError, match=f"{file}.*'norm' scale holds"):
        save_packed(file, packed)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


class FullDisk:
    """Stands in for ``os`` where a call fails."""

    def __init__(self, call):
        self.call = call

    def __getattr__(self, name):
        if name == self.call:
            raise OSError(28, 'No space left on device')
        return getattr(os, name)


@pytest.mark.parametrize('call', ['fsync', 'replace'])
@pytest.mark.parametrize('exists', [True, False])
def test_a_failed_write_leaves_nothing(packed, file, monkeypatch, exists,
                                       call):
    before = file.read_bytes() if exists else file.unlink()
    monkeypatch.setattr('mmreact.zoo.atomic_file.os', FullDisk(call))
    with pytest.raises(PackedFileError, match=f'{file}: .*No space left'):
        save_packed(file, packed, 'fp16')
    assert os.listdir(file.parent) == [file.name] * exists
    assert not exists or file.read_bytes() == before


@pytest.mark.parametrize('umask', [0o022, 0o077])
def test_permissions_are_those_of_new_files(packed, tmp_path, umask):
    old = os.umask(umask)
    try:
        save_packed(tmp_path / 'a', packed)
    finally:
        os.umask(old)
    mode = stat.S_IMODE((tmp_path / 'a').stat().st_mode)
    assert mode == 0o666 & ~umask


def test_a_folder_cannot_be_written(packed, tmp_path):
    with pytest.raises(PackedFileError, match='Cannot write .*directory'):
        save_packed(tmp_path, packed)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('change,message', [
    (dict(classes=('a', 'b')), '2 names of classes for an output of shape'),
    (dict(classes=(1, 2, 3, 4, 5)), 'classes and source hold strings, not 1'),
    (dict(source=dict(config=None)), 'not None'),
    (dict(source={1: 'a'}), 'not 1'),
    (dict(preprocessing=GREY), 'makes 1 channels, the network takes 3'),
    (dict(
        preprocessing=Preprocessing(
            crop=(9, 1), pad=(0, 1, 0, 0), mean=(0., ) * 3, std=(1., ) * 3)),
     "avg_pool2d 'avg' has a window larger"),
])
def test_parts_that_do_not_fit(packed, change, message):
    with pytest.raises(ValueError, match=message):
        replace(packed, **change)


def test_many_operations_are_read_in_seconds(tmp_path):
    names = [f'n{i}' for i in range(5000)]
    chain = [
        ops.Affine(n, (s, ), np.ones(1, np.float32), np.zeros(1, np.float32))
        for n, s in zip(names, ['input', *names])
    ]
    program = Program((1, 1, 1), chain, names[-1], names)
    save_packed(tmp_path / 'a', PackedFile(program))
    assert len(load_packed(tmp_path / 'a').program.operations) == 5000


def test_imports():
    """Reading and running needs neither torch nor OpenMMLab."""
    code = 'import sys, mmreact.packed; print(*sys.modules)'
    out = subprocess.run([sys.executable, '-c', code],
                         check=True,
                         text=True,
                         capture_output=True,
                         cwd=Path(__file__).parents[2])
    loaded = {name.split('.')[0] for name in out.stdout.split()}
    assert loaded >= {'mmreact', 'numpy', 'safetensors', 'PIL'}
    assert not loaded & {
        'torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'openvino',
        'onnx', 'cv2'
    }
