"""Files that are no checkpoints are called by what they are."""
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from mmreact.utils.checkpoint import (CheckpointError, check_file,
                                      load_checkpoint)

LFS = ('version https://git-lfs.github.com/spec/v1\n'
       'oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d1'
       '7e2393\nsize 12345\n')


def torch_bytes(content=None, **kwargs):
    buffer = io.BytesIO()
    torch.save(content or dict(w=torch.ones(1000)), buffer, **kwargs)
    return buffer.getvalue()


def image_bytes(kind):
    buffer = io.BytesIO()
    Image.new('RGB', (9, 9)).save(buffer, kind)
    return buffer.getvalue()


def tar_bytes():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as file:
        file.addfile(tarfile.TarInfo('pickle'))
    return buffer.getvalue()


def zip_bytes(*names, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as file:
        for name in names:
            file.writestr(name, 'content' * 99)
    return buffer.getvalue()


def numpy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def script_bytes():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), buffer)
    return buffer.getvalue()


WHOLE = torch_bytes()
KINDS = {
    'empty': (b'', 'is empty'),
    'page': (b'<!DOCTYPE html><html>Sign in</html>', 'is a web page'),
    'page after spaces': (b'\n\n  <HTML lang="en">', 'is a web page'),
    'page with a mark': (b'\xef\xbb\xbf<html>', 'is a web page'),
    'error in XML': (b'<?xml version="1.0"?><Error>AccessDenied', 'web page'),
    'page in UTF-16': ('<html>Grüß'.encode('utf-16'), 'is a web page'),
    'not found': (b'Not Found', "a text that begins with 'Not Found'"),
    'json': (b'{"error": "expired"}', 'a text that begins with'),
    'a config': (b"_base_ = ['a.py']\nmodel = dict()\n", '_base_ = '),
    'LFS': (LFS.encode(), 'is a Git LFS pointer.*git lfs pull'),
    'annex': (b'/annex/objects/SHA256E-s9--0.pth', 'git annex get'),
    'safetensors': (safetensors.torch.save(dict(w=torch.ones(2))),
                    'is a safetensors file.*load_file'),
    'gzip': (gzip.compress(WHOLE), 'compressed with gzip. Unpack'),
    'xz': (lzma.compress(WHOLE), 'compressed with xz'),
    'tar': (tar_bytes(), 'is a tar archive'),
    'numpy': (numpy_bytes(), 'is a numpy array'),
    'npz': (zip_bytes('arr_0.npy'), 'none of torch.save: it holds arr_0.npy'),
    'document': (zip_bytes('word/document.xml', '[Content_Types].xml'),
                 'is a zip archive, but none of torch.save'),
    'empty zip': (zip_bytes(), 'no file of torch.save|holds nothing'),
    'compressed zip': (zip_bytes('a/b', compression=zipfile.ZIP_DEFLATED),
                       r'is compressed \(a/b\)'),
    'script': (script_bytes(), 'is a TorchScript program'),
    'png': (image_bytes('PNG'), 'is a PNG image'),
    'jpeg': (image_bytes('JPEG'), 'is a JPEG image'),
    'keras': (b'\x89HDF\r\n\x1a\n' + bytes(99), 'is an HDF5 file'),
    'pickle': (pickle.dumps(dict(w=1)), 'pickle that torch.save did not'),
    'old pickle': (pickle.dumps(dict(w=1), 2), 'torch.save did not'),
    'zeros': (bytes(5000), 'begins with the bytes 00 00'),
    'noise': (bytes(range(160, 256)) * 9, 'no file of torch.save'),
    'cut': (WHOLE[:-1000], 'is truncated'),
    'cut at its end': (WHOLE[:-1], 'is truncated'),
    'cut to a few bytes': (WHOLE[:10], 'is truncated'),
    'with a tail': (WHOLE + b'\n', 'is truncated'),
    'cut, old': (torch_bytes(_use_new_zipfile_serialization=False)[:-9],
                 'is damaged'),
    'longer, old': (torch_bytes(_use_new_zipfile_serialization=False) + b'\0',
                    'is damaged'),
    'cut early, old': (torch_bytes(_use_new_zipfile_serialization=False)[:99],
                       'is damaged'),
}  # yapf: disable


@pytest.mark.parametrize('kind', KINDS)
def test_kinds(tmp_path, kind):
    content, message = KINDS[kind]
    path = tmp_path / 'net.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(path)
    assert str(error.value).startswith(
        f'The checkpoint {path} ({len(content)} bytes) ')
    assert '\n' not in str(error.value) and '..' not in str(error.value)


def test_what_is_no_file(tmp_path):
    with pytest.raises(CheckpointError, match='is a folder. Give a file'):
        check_file(tmp_path)
    with pytest.raises(CheckpointError, match='There is no checkpoint'):
        check_file(tmp_path / 'absent')


def test_a_changed_byte_is_found(tmp_path):
    """In the pickle, whose checksum is compared."""
    where = WHOLE.index(b'storage')
    (tmp_path / 'a.pth').write_bytes(WHOLE[:where] + b'x' + WHOLE[where + 1:])
    with pytest.raises(CheckpointError, match='is damaged.*Bad CRC-32'):
        load_checkpoint(tmp_path / 'a.pth')


def test_a_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'a.pth').write_bytes(WHOLE)
    assert list(load_checkpoint('~/a.pth')) == ['w']
