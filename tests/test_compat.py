"""The cures for the stack: safe checkpoints, versions, quiet imports."""
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import mmcv
import mmengine
import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader

from mmreact import compat
from mmreact.utils.checkpoint import CheckpointError, use_in_mmengine

ROOT = Path(__file__).resolve().parents[1]


def test_mmengine_checkpoint_loads(tmp_path):
    hub = MessageHub('test_compat')
    for value in (2., 4., 9.):
        hub.update_scalar('train/loss', value)
    hub.update_scalar('train/numpy', np.float32(0.5))
    hub.update_info('epoch', np.int64(3))
    hub.update_info('array', np.arange(3))
    torch.save(
        dict(message_hub=hub.state_dict(), state_dict={}), tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)['message_hub']
    buffer = loaded['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer)
    assert [buffer.mean(2), buffer.max(3), buffer.current()] == [6.5, 9., 9.]
    assert loaded['log_scalars']['train/numpy'].current() == 0.5
    assert loaded['runtime_info']['epoch'] == 3
    assert loaded['runtime_info']['array'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('dtype', 'bBhHiIlLqQefd?')
def test_numpy_types_load(tmp_path, dtype):
    array = np.array([1, 0, 3]).astype(dtype)
    torch.save(dict(array=array, scalar=array[2]), tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)
    assert loaded['array'].dtype == loaded['scalar'].dtype == array.dtype
    assert loaded['array'].tolist() == array.tolist()
    assert loaded['scalar'] == array[2]


class Forged:
    """Unpickled, it calls a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def touch(path):
    return f'open({str(path)!r}, "w").close()'


FORGED = {
    'os.system':
    lambda path: Forged(os.system, f'touch "{path}"'),
    'eval':
    lambda path: Forged(eval, touch(path)),
    'exec':
    lambda path: Forged(exec, touch(path)),
    'open':
    lambda path: Forged(open, str(path), 'w'),
    'in an array':
    lambda path: np.array([Forged(eval, touch(path))], object),
    'in a buffer':
    lambda path: Forged(HistoryBuffer, [Forged(eval, touch(path))]),
    'getattr of a dict':
    lambda _: Forged(getattr, {}, 'update'),
    'getattr of an array':
    lambda _: Forged(getattr, np.ndarray, 'tofile'),
    'getattr of a class':
    lambda _: Forged(getattr, HistoryBuffer, '__init__'),
    'getattr, globals':
    lambda _: Forged(getattr, Forged(getattr, HistoryBuffer, 'mean'),
                     '__globals__'),
}

use_in_mmengine()
LOADERS = {
    'torch': lambda path: torch.load(path, weights_only=True),
    'mmengine':
    lambda path: CheckpointLoader.load_checkpoint(str(path), 'cpu'),
}


@pytest.mark.parametrize('loader', LOADERS)
@pytest.mark.parametrize('how', FORGED)
def test_forged_checkpoints_are_refused(tmp_path, how, loader):
    path, target = tmp_path / 'a.pth', tmp_path / 'target'
    torch.save(dict(state_dict={}, evil=FORGED[how](target)), path)
    error = (ValueError, 'may not use') if 'getattr' in how else (
        pickle.UnpicklingError, 'Weights only load failed')
    if loader == 'mmengine':  # ours, which looks before it calls anything
        error = CheckpointError, 'a.pth .* (holds|damaged|may not use)'
    with pytest.raises(error[0], match=error[1]):
        LOADERS[loader](path)
    assert not target.exists()


def test_reading_one_checkpoint_does_not_forbid_the_next(tmp_path):
    torch.save(dict(loss=HistoryBuffer([1.], [1])), tmp_path / 'a.pth')
    for name in ('mmengine', 'torch', 'mmengine'):
        loaded = LOADERS[name](tmp_path / 'a.pth')
        assert loaded['loss'].current() == 1


@pytest.mark.parametrize('obj,name', [(os, 'system'), (HistoryBuffer, 'data'),
                                      (HistoryBuffer, '__init__'),
                                      ('min', 'min'), (dict, 'min')])
def test_restricted_getattr_refuses(obj, name):
    with pytest.raises(ValueError, match=name):
        compat._restricted_getattr(obj, name)


@pytest.mark.parametrize('name', ['min', 'max', 'current', 'mean'])
def test_restricted_getattr_answers(name):
    assert compat._restricted_getattr(HistoryBuffer,
                                      name) is getattr(HistoryBuffer, name)


MODULES = dict(
    torch=torch, mmengine=mmengine, mmcv=mmcv, mmpretrain=mmpretrain)


@pytest.mark.parametrize('name,version,good', [
    ('torch', '2.5.1', False),
    ('torch', '2.14.1+cpu', True),
    ('mmengine', '0.10.6', False),
    ('mmengine', '0.10.7', True),
    ('mmengine', '0.10.12', True),
    ('mmengine', '1.0.0', False),
    ('mmcv', '2.0.1', False),
    ('mmcv', '2.3.6', True),
    ('mmcv', '2.4.0', False),
    ('mmpretrain', '1.1.1', False),
    ('mmpretrain', '1.3.6', True),
    ('mmpretrain', '1.4.0', False),
    ('mmpretrain', None, False),
])
def test_versions(monkeypatch, name, version, good):
    if version is None:
        monkeypatch.setitem(sys.modules, name, None)  # import fails
    else:
        monkeypatch.setattr(MODULES[name], '__version__', version)
    if good:
        compat.check_versions()
        return
    with pytest.raises(ImportError) as error:
        compat.check_versions()
    _, low, high = compat.SUPPORTED[name]
    for word in (f'{name} {version or "(not installed)"}', f'>={low},<{high}',
                 'mmreact[train]'):
        assert word in str(error.value)
    others = set(MODULES) - {name}
    assert not any(f'{other} ' in str(error.value) for other in others)


def test_all_bad_versions_in_one_message(monkeypatch):
    for module in MODULES.values():
        monkeypatch.setattr(module, '__version__', '0.1.0')
    with pytest.raises(ImportError) as error:
        compat.check_versions()
    for name, (_, low, high) in compat.SUPPORTED.items():
        assert f'{name} 0.1.0, supported: >={low},<{high}' in str(error.value)


def test_a_broken_dependency_is_not_called_missing(monkeypatch, tmp_path):
    """E.g. cv2 without libGL: the reason must reach the user."""
    (tmp_path / 'mmcv.py').write_text('raise ImportError("libGL.so.1: no")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'mmcv')
    with pytest.raises(ImportError, match='libGL.so.1'):
        compat.check_versions()


def python(*args):
    """Run a fresh interpreter; return its output, nothing on stderr."""
    result = subprocess.run([sys.executable, *args],
                            env={
                                **os.environ, 'PYTHONPATH': str(ROOT)
                            },
                            text=True,
                            capture_output=True,
                            timeout=600)
    assert (result.returncode, result.stderr) == (0, '')
    return result.stdout


STRICT = ['-W', 'error::UserWarning', '-W', 'error::DeprecationWarning']


@pytest.mark.parametrize('flags', [[], STRICT], ids=['default', 'strict'])
def test_import_is_quiet(flags):
    assert python(
        *flags, '-c',
        'import mmreact.models, mmreact.engine, mmpretrain.datasets') == ''


def test_only_one_line_is_hushed(monkeypatch, tmp_path, capsys):
    """What a fork prints when it is imported; the rest comes through."""
    (tmp_path / 'mmpretrain').mkdir()
    (tmp_path / 'mmpretrain/__init__.py').touch()
    (tmp_path / 'mmpretrain/datasets.py'
     ).write_text('print("Could not import OneDL")\nprint("Something else")\n')
    for name in [n for n in sys.modules if n.split('.')[0] == 'mmpretrain']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    compat._import_datasets()
    assert capsys.readouterr().out == 'Something else\n'
    del sys.modules['mmpretrain'], sys.modules['mmpretrain.datasets']


@pytest.mark.parametrize('module', ['mmreact', 'mmreact.version'])
def test_import_is_cheap(module):
    loaded = json.loads(
        python(
            '-c', f'import {module}, sys, json\n'
            'print(json.dumps(sorted(sys.modules)))'))
    assert 'mmreact' in loaded
    heavy = {'torch', 'numpy', 'mmengine', 'mmcv', 'mmpretrain'}
    assert not heavy & set(loaded)


def test_lazy_names():
    assert python(
        '-c', 'import mmreact\nprint([getattr(mmreact, name).__name__ '
        'for name in mmreact.__all__ if name != "__version__"])') == (
            "['BinaryConv2d', 'BinaryLinear', 'RPReLU', 'RSign', 'binarize', "
            "'count_ops']\n")
    import mmreact
    with pytest.raises(AttributeError, match='mmreact.*binarise'):
        mmreact.binarise


@pytest.mark.parametrize('launcher,error,words', [
    ('slurm', ValueError, 'slurm'),
    ('pytorch', RuntimeError, 'torchrun'),
])
def test_cpu_distributed_says_what_it_needs(monkeypatch, launcher, error,
                                            words):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(error, match=words):
        compat.init_cpu_distributed(launcher)


def test_configs_can_be_inherited_by_package(tmp_path):
    """`_base_ = 'mmreact::...'` finds the package."""
    from mmengine.config.utils import MODULE2PACKAGE
    assert MODULE2PACKAGE['mmreact'] == 'mmreact'
    assert Config(compat.cpu_model_wrapper()).broadcast_buffers is False
