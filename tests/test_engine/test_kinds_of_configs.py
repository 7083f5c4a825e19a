"""Configs as other people write them, trained in this process."""
import json
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmreact.analysis import count_ops
from mmreact.engine.packing import load_model, pack
from mmreact.engine.stages import make_plan, train_plan
from mmreact.engine.testing import test_checkpoint as evaluate
from mmreact.utils.config_files import read_config

ITERATIONS = '''
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=3, val_interval=2)
param_scheduler = dict(
    _delete_=True, type='LinearLR', by_epoch=False, begin=0, end=3)
default_hooks = dict(checkpoint=dict(by_epoch=False))
'''
ONE_EPOCH = 'train_cfg = dict(max_epochs=1)\n'
#: Text of a config that inherits one.py, and the checkpoint that is left.
KINDS = {
    'by iterations': (ITERATIONS, 'iter_3.pth'),
    'no validation':
    (ONE_EPOCH + 'val_cfg = val_dataloader = val_evaluator = None',
     'epoch_1.pth'),
    'validation from a later epoch on':
    ('train_cfg = dict(max_epochs=1, val_begin=2)', 'epoch_1.pth'),
    'no randomness': (ONE_EPOCH + 'randomness = dict(_delete_=True)',
                      'epoch_1.pth'),
    'no scope': (ONE_EPOCH + 'default_scope = None', 'epoch_1.pth'),
    'no visualizer': (ONE_EPOCH + 'visualizer = None', 'epoch_1.pth'),
    'no custom hooks': (ONE_EPOCH + 'custom_hooks = None', 'epoch_1.pth'),
    'no environment': (ONE_EPOCH + 'env_cfg = dict(_delete_=True)',
                       'epoch_1.pth'),
    'another visualizer backend':
    (ONE_EPOCH + "visualizer = dict(vis_backends=[dict(type='LocalVisBackend',"
     " scalar_save_file='x.json')])", 'epoch_1.pth'),
    'no default hooks': (ONE_EPOCH + 'default_hooks = dict(_delete_=True)',
                         'epoch_1.pth'),
    'rare checkpoints':
    (ONE_EPOCH + 'default_hooks = dict(checkpoint=dict(interval=5))',
     'epoch_1.pth'),
    'references':
    (ONE_EPOCH + 'val_dataloader = dict(batch_size={{_base_.train_dataloader'
     '.batch_size}})\nmodel = dict(head=_base_.model.head)', 'epoch_1.pth'),
    'averages': (ONE_EPOCH + "custom_hooks = [dict(type='EMAHook')]",
                 'epoch_1.pth'),
    'a compiled forward pass': (ONE_EPOCH + "compile = dict(backend='eager')\n"
                                "custom_hooks = [dict(type='EMAHook')]",
                                'epoch_1.pth'),
    'custom keys':
    (ONE_EPOCH + 'optim_wrapper = dict(paramwise_cfg=dict(custom_keys='
     "{'backbone': dict(lr_mult=.1)}))", 'epoch_1.pth'),
}


def train_text(folder, base, text, name='mine.py'):
    path = folder / name
    path.write_text(f'_base_ = {str(base)!r}\n{text}')
    return train_plan(make_plan(path, folder / 'work'))


@pytest.fixture(autouse=True)
def fast_records(monkeypatch):
    """Without the layout of recorded configs, half of the time."""
    monkeypatch.setattr(
        'mmengine.config.config.FormatCode',
        lambda text, **kwargs: (text, False),
        raising=False)  # the forks import it where they use it


@pytest.mark.parametrize('kind', KINDS)
def test_trains(small_configs, tmp_path, kind):
    text, left = KINDS[kind]
    final = train_text(tmp_path, small_configs / 'one.py', text)
    assert final == tmp_path / 'work' / left
    weights = torch.load(final, weights_only=True)['state_dict']
    assert all(map(torch.isfinite, [v.sum() for v in weights.values()]))
    assert not any('_orig_mod' in key for key in weights)


@pytest.mark.parametrize('text, message', [
    ('optim_wrapper = None', 'mine has no optim_wrapper'),
    ('train_dataloader = train_cfg = None', 'no train_cfg, train_dataloader'),
    ('train_cfg = dict(_delete_=True, by_epoch=True)', 'either max_epochs or'),
    ('train_cfg = dict(max_iters=3)', 'either max_epochs or max_iters'),
    ('train_cfg = dict(val_interval=0)', 'val_interval.*is 0.*--no-validate'),
    ('train_cfg = dict(_delete_=True, by_epoch=False, max_iters=3)',
     'counts iterations. Set by_epoch=False'),
    ('default_hooks = dict(checkpoint=dict(by_epoch=False))',
     'counts epochs. Set by_epoch=True'),
    ('default_hooks = dict(checkpoint=dict(interval=2, save_last=False))',
     'the last of 3 would not be saved'),
    ('default_hooks = dict(checkpoint=None)', 'nothing would be left'),
    ("default_hooks = dict(checkpoint=dict(out_dir='x'))", 'has out_dir'),
])
def test_refused_before_training(small_configs, tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        train_text(tmp_path, small_configs / 'one.py', text)
    assert not (tmp_path / 'work').exists()


NEW_STYLE = '''
from mmengine.config import read_base
with read_base():
    from .base import *
from mmpretrain.datasets import FashionMNIST, PackInputs
from mmreact.layers import BinaryConv2d
data = dict(type=FashionMNIST, data_root={data!r}, split='test',
            test_mode=True, pipeline=[dict(type=PackInputs)], indices=16,
            serialize_data=False)
train_dataloader = dict(
    batch_size=8, num_workers=0, dataset=data,
    sampler=dict(type=DefaultSampler, shuffle=True))
test_dataloader = dict(
    batch_size=8, num_workers=0, dataset=data,
    sampler=dict(type=DefaultSampler, shuffle=False))
test_evaluator = dict(type=Accuracy, topk=(1, 5))
test_cfg = dict()
model.head.update(num_classes=10)
start_from = dict(config='before.py')
all_stages = ['train_dataloader']
'''
BEFORE = '''
from mmengine.config import read_base
with read_base():
    from .base import *
model.backbone.update(weight_binarizer='real')
'''
BASE = '''
from mmengine.dataset import DefaultSampler
from mmengine.optim import LinearLR
from mmpretrain.evaluation import Accuracy
from mmpretrain.models import (CrossEntropyLoss, GlobalAveragePooling,
                               ImageClassifier, LinearClsHead)
from mmreact.engine import BinaryOptimWrapperConstructor
from mmreact.engine import ReproducibilityHook, VerifiedCheckpointHook
from mmreact.models import ReActNet
from torch.optim import Adam
model = dict(
    type=ImageClassifier,
    backbone=dict(type=ReActNet, arch=[(16, 2)], in_channels=1,
                  stem_channels=8),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=LinearClsHead, num_classes=10, in_channels=16,
              loss=dict(type=CrossEntropyLoss)))
data_preprocessor = dict(num_classes=10, mean=[72.94], std=[90.02])
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(
    optimizer=dict(type=Adam, lr=1e-3),
    constructor=BinaryOptimWrapperConstructor)
param_scheduler = dict(type=LinearLR, end=1)
custom_hooks = [dict(type=ReproducibilityHook)]
default_hooks = dict(checkpoint=dict(type=VerifiedCheckpointHook, interval=1))
'''


def test_new_style(tiny_data, tmp_path):
    """Classes as types: two stages trained, tested, counted and packed."""
    for name, text in (('base', BASE), ('before', BEFORE), ('mine',
                                                            NEW_STYLE)):
        (tmp_path / f'{name}.py').write_text(
            text.replace('{data!r}', repr(str(tiny_data))))
    path = tmp_path / 'mine.py'
    final = train_plan(make_plan(path, tmp_path / 'work'))
    assert (tmp_path / 'work/before/epoch_1.pth').is_file()
    cfg = read_config(path)
    cfg.work_dir = str(tmp_path / 'test')
    metrics = evaluate(cfg, final)
    assert 0 <= metrics['accuracy/top1'] <= 100
    init_default_scope('mmpretrain')
    cfg = read_config(path)
    report = count_ops(MODELS.build(cfg.model), (1, 28, 28))
    assert report.bops > 0
    packed = pack(cfg, final, load_model(cfg, final), (28, 28), False)
    assert packed.program.input_shape == (1, 28, 28)
    # The checkpoint's record is read without importing anything.
    from mmreact.utils.recorded_config import recorded_config
    recorded = recorded_config(torch.load(final, weights_only=True), 'x')
    assert recorded.model == cfg.model
    # So is that of the work directory, in MMEngine's way.
    record = Config.fromfile(tmp_path / 'work/mine.py')
    assert record.model.backbone.type == 'ReActNet'


def test_a_module_in_the_users_folder(small_configs, tmp_path, monkeypatch):
    """custom_imports, with PYTHONPATH as MMEngine asks for it."""
    (tmp_path / 'my_losses.py').write_text('''
from mmpretrain.registry import MODELS
from mmpretrain.models import CrossEntropyLoss


@MODELS.register_module()
class MyLoss(CrossEntropyLoss):
    pass
''')
    text = ONE_EPOCH + "custom_imports = dict(imports=['my_losses'])\n" \
        "model = dict(head=dict(loss=dict(type='MyLoss')))"
    with pytest.raises(ImportError, match='PYTHONPATH'):
        train_text(tmp_path, small_configs / 'one.py', text)
    monkeypatch.syspath_prepend(tmp_path)
    train_text(tmp_path, small_configs / 'one.py', text)
    assert sys.modules.pop('my_losses')


def test_resume_of_a_config(small_configs, small_trained, tmp_path):
    """As --resume; a complete training stays complete."""
    first = train_text(tmp_path, small_configs / 'one.py', ONE_EPOCH)
    before = first.stat().st_mtime_ns
    with pytest.raises(Exception, match='train_cfg.max_epochs: 1 -> 2'):
        train_text(tmp_path, small_configs / 'one.py',
                   'train_cfg = dict(max_epochs=2)\nresume = True')
    record = tmp_path / 'work/fingerprint.json'
    text = record.read_text().replace('"train_cfg.max_epochs": 1',
                                      '"train_cfg.max_epochs": 2')
    assert json.loads(text)
    record.write_text(text)
    with pytest.raises(RuntimeError, match='Continue it with --resume'):
        train_text(tmp_path, small_configs / 'one.py',
                   'train_cfg = dict(max_epochs=2)')
    final = train_text(tmp_path, small_configs / 'one.py',
                       'train_cfg = dict(max_epochs=2)\nresume = True')
    assert final.name == 'epoch_2.pth'
    assert first.stat().st_mtime_ns == before


def losses(work_dir):
    lines = (work_dir / 'vis_data/scalars.json').read_text().splitlines()
    return [row['loss'] for row in map(json.loads, lines) if 'loss' in row]


def test_compiled_runs_resume(small_configs, tmp_path):
    """To the weights of an undisturbed compiled training."""
    text = "custom_hooks = [dict(type='ReproducibilityHook')]\n" \
        "compile = dict(backend='eager')\ntrain_cfg = dict(max_epochs=2)\n"
    final = train_text(tmp_path, small_configs / 'one.py', text)
    expected = torch.load(final, weights_only=True)['state_dict']
    final.unlink()  # back to the first epoch
    train_text(tmp_path, small_configs / 'one.py', text + 'resume = True')
    weights = torch.load(final, weights_only=True)['state_dict']
    for key, value in expected.items():
        assert torch.equal(weights[key], value), key


@pytest.mark.slow
def test_compiled_by_inductor(small_configs, tmp_path):
    """To a learning rate of 0, where a compiled Adam gives NaN."""
    text = 'model = dict(backbone=dict(arch=[(16, 1)]))\n' \
        'param_scheduler = dict(end=1)\n' + ONE_EPOCH
    found = []
    for name, line in (('plain', ''), ('compiled', 'compile = True')):
        final = train_text(tmp_path, small_configs / 'one.py', text + line)
        weights = torch.load(final, weights_only=True)['state_dict']
        assert all(v.isfinite().all() for v in weights.values())
        log, = final.parent.glob('2*')
        found.append(losses(log))
        final.parent.rename(tmp_path / name)
    assert len(found[0]) == 4
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert found[1] == pytest.approx(found[0], rel=1e-2)
