"""Config files as editors write them, in folders of any name."""
import pytest

from mmreact import compat  # noqa: F401, mends MMEngine's reader
from mmreact.utils.config_files import read_config

MARK = b'\xef\xbb\xbf'
TEXT = "_base_ = ['base.py']\na = dict(text='Größe', list=[1, 2])\n"


@pytest.mark.parametrize('folder', ['plain', 'with spaces', 'Übung', "a'b"])
@pytest.mark.parametrize('change', [
    lambda data: data,
    lambda data: MARK + data,
    lambda data: data.replace(b'\n', b'\r\n'),
    lambda data: MARK + data.replace(b'\n', b'\r\n'),
    lambda data: data.rstrip(b'\n'),
    lambda data: b'# -*- coding: utf-8 -*-\n' + data,
])
def test_python(tmp_path, folder, change):
    path = tmp_path / folder / 'ä b.py'
    path.parent.mkdir()
    path.write_bytes(change(TEXT.encode()))
    (path.parent / 'base.py').write_bytes(change(b'b = 3\n'))
    cfg = read_config(path)
    assert cfg.a.text == 'Größe' and cfg.a.list == [1, 2] and cfg.b == 3


@pytest.mark.parametrize('name,data', [
    ('a.py', 'a = "ä"'.encode('latin-1')),
    ('a.py', 'a = 1'.encode('utf-16')),
    ('a.py', b'a = 1 # \xff'),
    ('a.py', b'a = "\xe2\x82"'),
    ('a.py', 'a = "é"'.encode('cp1252')),
])
def test_other_encodings_are_named(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match='a.py is not in UTF-8 .* Save it as'):
        read_config(tmp_path / name)
