"""Where the names in config files lead, and classes as types."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmreact.utils.config_files import read_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
SMALL = CONFIGS / 'reactnet/reactnet-small_1xb128_fashion-mnist.py'
STAGE1 = SMALL.with_name('reactnet-small-stage1_1xb128_fashion-mnist.py')
TEACHER = CONFIGS / 'resnet/resnet18-w16_1xb128_fashion-mnist.py'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def user(tmp_path):
    """A user's folder with a recipe of two stages of their own."""
    folder = tmp_path / 'user'
    write(folder / 'one.py', 'x = 1')
    write(folder / 'two.py', "start_from = dict(config='one.py')")
    return folder


#: What a file of another folder holds, and where start_from then leads.
INHERITED = {
    'relative base': ("_base_ = '../user/two.py'", 'user/one.py'),
    'list of bases': ("_base_ = ['../user/two.py']", 'user/one.py'),
    'grandchild': ("_base_ = 'child.py'", 'user/one.py'),
    'the same name again':
    ("_base_ = '../user/two.py'\nstart_from = dict(config='one.py')",
     'other/one.py'),
    'a reference':
    ("_base_ = '../user/two.py'\nstart_from = {{_base_.start_from}}",
     'user/one.py'),
    'a part of a reference':
    ("_base_ = '../user/two.py'\nmodel = dict(teacher=_base_.start_from)",
     'user/one.py'),
    'a replaced dict':
    ("_base_ = '../user/two.py'\n"
     "start_from = dict(_delete_=True, config='one.py')", 'other/one.py'),
    'in the folder above': ("start_from = dict(config='above.py')",
                            'above.py'),
    'through a folder': ("start_from = dict(config='../user/one.py')",
                         'user/one.py'),
    'nowhere': ("start_from = dict(config='none.py')", 'other/none.py'),
}


@pytest.mark.parametrize('case', INHERITED)
def test_looked_up_where_it_is_written(user, tmp_path, case):
    text, target = INHERITED[case]
    write(tmp_path / 'above.py', '')
    write(tmp_path / 'other/one.py', 'x = 2')
    write(tmp_path / 'other/child.py', "_base_ = '../user/two.py'")
    cfg = read_config(write(tmp_path / 'other/mine.py', text))
    assert cfg.start_from.config == str(tmp_path / target)
    if 'teacher' in text:
        assert cfg.model.teacher.config == str(tmp_path / target)


@pytest.mark.parametrize(
    'base',
    [str(SMALL), 'mmreact::reactnet/reactnet-small_1xb128_fashion-mnist.py'])
@pytest.mark.parametrize('suffix', ['.py', '.yaml', '.json'])
def test_a_config_of_this_repository_as_a_base(tmp_path, base, suffix):
    path = tmp_path / f'mine.v2{suffix}'
    content = dict(_base_=base, model=dict(head=dict(num_classes=7)))
    path.write_text({
        '.py':
        '\n'.join(f'{k} = {v!r}' for k, v in content.items()),
        '.yaml':
        yaml.safe_dump(content),
        '.json':
        json.dumps(content)
    }[suffix])
    cfg = read_config(path)
    assert cfg.start_from.config == str(STAGE1)
    assert cfg.model.teacher.config == str(TEACHER)
    assert cfg.model.head.num_classes == 7
    # No registry scope, which mmreact does not have.
    ours = read_config(SMALL)
    ours.model.head.num_classes = 7
    assert cfg.to_dict() == ours.to_dict()


def test_teacher_of_another_base(tmp_path):
    """It is written in a base that holds nothing else."""
    cfg = read_config(
        write(
            tmp_path / 'mine.py',
            "_base_ = 'mmreact::_base_/teachers/vgg16bn_in1k.py'\n"
            'model = dict(teacher=_base_.teacher)'))
    assert cfg.model.teacher.config == str(CONFIGS /
                                           'vgg/vgg16bn_8xb32_in1k.py')


@pytest.mark.slow
def test_the_layout_of_a_wheel(tmp_path):
    """Configs are copies in .mim, and nothing else was imported before."""
    package = tmp_path / 'site/mmreact'
    ignored = shutil.ignore_patterns('__pycache__', '.mim', 'csrc', '*.so')
    shutil.copytree(ROOT / 'mmreact', package, ignore=ignored)
    shutil.copytree(CONFIGS, package / '.mim/configs')
    path = write(tmp_path / 'mine.py',
                 f"_base_ = 'mmreact::reactnet/{SMALL.name}'")
    script = 'from mmreact.utils.config_files import read_config\n' \
        f'print(read_config({str(path)!r}).start_from.config)'
    out = subprocess.run([sys.executable, '-c', script],
                         env={
                             **os.environ, 'PYTHONPATH': str(package.parent)
                         },
                         cwd=tmp_path,
                         text=True,
                         capture_output=True,
                         check=True).stdout
    assert out.split()[-1] == str(package / '.mim/configs/reactnet' /
                                  STAGE1.name)


def test_no_such_config_of_mmreact(tmp_path):
    path = write(tmp_path / 'a.py', "_base_ = 'mmreact::reactnet/none.py'")
    with pytest.raises(FileNotFoundError, match='mmreact::reactnet/none.py'):
        read_config(path)


def test_mmpretrain_s_own_bases(tmp_path):
    path = write(tmp_path / 'a.py',
                 "_base_ = 'mmpretrain::_base_/models/resnet18.py'")
    assert read_config(path).model.backbone.depth == 18


def test_hub_finds_configs():
    """What MMEngine's other tools look configs up with."""
    from mmengine.hub import get_config
    cfg = get_config(f'mmreact::reactnet/{SMALL.name}')
    assert cfg.model == Config.fromfile(SMALL).model


def test_a_symbolic_link(user, tmp_path):
    """Its bases and names are beside the file that it leads to."""
    write(user / 'three.py', "_base_ = 'two.py'\ny = 3")
    link = tmp_path / 'link.py'
    link.symlink_to(user / 'three.py')
    cfg = read_config(link)
    assert cfg.y == 3 and cfg.start_from.config == str(user / 'one.py')


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match='There is no config .*x.py'):
        read_config(tmp_path / 'x.py')


def test_mmengine_is_left_as_it_was(user):
    before = Config.__dict__['_file2dict']
    read_config(user / 'two.py')
    with pytest.raises(SyntaxError):
        read_config(write(user / 'bad.py', 'x ='))
    assert Config.__dict__['_file2dict'] is before
    plain = Config.fromfile(user / 'two.py')
    assert plain.start_from.config == 'one.py'


NEW_BASE = '''
from torch.optim import Adam
from torch import float16
from mmpretrain.models import GlobalAveragePooling, ImageClassifier
from mmpretrain.models import LinearClsHead
from mmreact.engine import BinaryOptimWrapperConstructor
from mmreact.models import ReActNet
model = dict(
    type=ImageClassifier,
    backbone=dict(type=ReActNet, arch=[(16, 2)]),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=LinearClsHead, num_classes=10, in_channels=16),
    teacher=dict(config='t.py'))
optim_wrapper = dict(
    optimizer=dict(type=Adam, lr=1e-3),
    constructor=BinaryOptimWrapperConstructor)
hooks = [dict(type=ReActNet, dtype=float16)]
'''
NEW = '''
from mmengine.config import read_base
with read_base():
    from .bases.base import *
model.update(dict(head=dict(num_classes=7)))
start_from = dict(config='one.py')
'''


def test_new_style(user):
    """It reads as the same config with names."""
    import torch
    write(user / 'bases/base.py', NEW_BASE)
    write(user / 'bases/t.py', '')
    cfg = read_config(write(user / 'new.py', NEW))
    assert cfg.model.to_dict() == dict(
        type='ImageClassifier',
        backbone=dict(type='ReActNet', arch=[(16, 2)]),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=7, in_channels=16),
        teacher=dict(config=str(user / 'bases/t.py')))
    assert cfg.optim_wrapper.to_dict() == dict(
        optimizer=dict(type='Adam', lr=1e-3),
        constructor='BinaryOptimWrapperConstructor')
    assert cfg.start_from.config == str(user / 'one.py')
    assert cfg.hooks[0].dtype is torch.float16  # a value, and no class
    assert set(
        cfg.to_dict()) == {'model', 'optim_wrapper', 'hooks', 'start_from'}
    # What is recorded is what an old-style config records.
    assert "type='ReActNet'" in cfg.pretty_text


def test_a_class_that_is_not_registered(user):
    """It stays what it is; MMEngine's record names its module."""
    text = 'from torch.nn import TripletMarginLoss\n' \
        'model = dict(type=TripletMarginLoss)'
    cfg = read_config(write(user / 'new.py', text))
    from torch.nn import TripletMarginLoss
    assert cfg.model.type is TripletMarginLoss
    assert cfg.model.to_dict() == dict(type='torch.nn.TripletMarginLoss')


def test_new_style_over_old_style(user):
    path = write(user / 'new.py', NEW.replace('.bases.base', '.two'))
    write(user / 'two.py', "_base_ = 'one.py'")
    with pytest.raises(Exception, match='_base_'):
        read_config(path)
