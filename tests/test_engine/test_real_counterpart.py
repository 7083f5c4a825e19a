"""ReActNet's real-valued counterpart as stage 0 and as a teacher."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmreact.engine.stages import Run, check_plan, make_plan, train_plan
from mmreact.engine.stages.fingerprint import flatten
from mmreact.models import DistilledImageClassifier, FrozenTeacher

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/reactnet'
PAIRS = [('reactnet-a-real_8xb32_in1k', 'reactnet-a-stage1_8xb32_in1k'),
         ('reactnet-small-real_1xb128_fashion-mnist',
          'reactnet-small-stage1_1xb128_fashion-mnist')]
TEACHER = '''
_base_ = {base!r}
model = dict(
    teacher=dict(_delete_=True, config={config!r}))
'''


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('real,stage1', PAIRS)
def test_differs_in_the_signs(real, stage1):
    """And in the decay that keeps thresholds without a gradient at 0."""
    ours, theirs = (flatten(load(name).to_dict()) for name in (real, stage1))
    changed = {
        key
        for key in ours.keys() | theirs.keys()
        if ours.get(key) != theirs.get(key)
    }
    assert {key.split('.paramwise_cfg')[0]
            for key in changed
            } == {'model.backbone.activation_binarizer', 'optim_wrapper'}
    assert ours['model.backbone.activation_binarizer'] == 'real'
    assert ours['optim_wrapper.paramwise_cfg.decay_shifts'] is True


def save(name, path):
    torch.manual_seed(0)
    model = MODELS.build(load(name).model)
    torch.save(dict(state_dict=model.state_dict()), path)
    return model


@pytest.mark.parametrize('real,stage1', PAIRS)
def test_hands_over_to_stage_1(tmp_path, real, stage1):
    """Strictly, as --from does."""
    save(real, tmp_path / 'real.pth')
    teacher = tmp_path / 'teacher.pth'
    first = load(stage1).model.teacher
    net = first.get('model') or Config.fromfile(
        CONFIGS.parent / first.config).model
    torch.save(dict(state_dict=MODELS.build(net).state_dict()), teacher)
    plan = make_plan(
        CONFIGS / f'{stage1}.py',
        tmp_path / 'work',
        start_from=tmp_path / 'real.pth',
        teacher=str(teacher))
    assert [run.name for run in plan] == [stage1]
    for run in plan:  # no data here
        run.cfg.train_dataloader = run.cfg.val_dataloader = None
    check_plan(plan)


def test_teaches(tmp_path):
    """Its own teacher is a run before it, and not built to use it."""
    real, stage1 = PAIRS[1]
    config = tmp_path / 'learns_from_real.py'
    config.write_text(
        TEACHER.format(
            base=str(CONFIGS / f'{stage1}.py'),
            config=str(CONFIGS / f'{real}.py')))
    plan = make_plan(config, tmp_path / 'work')
    assert [run.name for run in plan
            ] == ['resnet18-w16_1xb128_fashion-mnist', real, config.stem]
    assert isinstance(plan[2].teacher, Run)
    assert plan[2].teacher is plan[1] and plan[1].teacher is plan[0]

    expected = save(real, tmp_path / 'real.pth').eval()
    assert isinstance(expected, DistilledImageClassifier)
    teacher = FrozenTeacher(
        config=str(CONFIGS / f'{real}.py'),
        checkpoint=str(tmp_path / 'real.pth'),
        data_preprocessor=dict())
    x = torch.randn(2, 1, 32, 32)
    preprocessor = MODELS.build(
        dict(type='ClsDataPreprocessor', mean=[0.], std=[1.]))
    with torch.no_grad():
        torch.testing.assert_close(
            teacher.outputs(x, preprocessor, 10)[0], expected(x))
    assert not teacher._module.teacher.is_built


@pytest.mark.slow
def test_trains_and_teaches(tiny_configs, tmp_path):
    """ResNet teaches the real-valued network, which teaches stage 1."""
    stage1 = str(tiny_configs / 'stage1.py')
    (tmp_path / 'real.py').write_text(f'''
_base_ = {stage1!r}
model = dict(backbone=dict(activation_binarizer='real'),
             teacher=dict(config={str(tiny_configs / 'teacher.py')!r}))
''')
    (tmp_path / 'student.py').write_text(
        TEACHER.format(base=stage1, config='real.py'))
    plan = make_plan(tmp_path / 'student.py', tmp_path / 'work')
    assert [run.name for run in plan] == ['teacher', 'real', 'student']
    assert train_plan(plan).is_file()
