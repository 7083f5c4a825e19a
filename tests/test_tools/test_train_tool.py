"""Flags of tools/train.py; test_resume.py has the interrupted runs."""
import json

import pytest
import torch

from mmreact import compat  # noqa: F401, lets torch read the checkpoints

ONE_EPOCH = ('train_cfg.max_epochs=1', 'param_scheduler.end=1')


@pytest.fixture(scope='module')
def config(tiny_configs):
    return tiny_configs / 'stage2.py'


def test_stage_2_from_a_checkpoint_with_a_new_head(run_tool, config, trained,
                                                   tmp_path):
    """--from hands everything over but, with --reset-head, the classifier."""
    teacher = trained / 'teacher' / 'epoch_2.pth'
    stage1 = trained / 'stage1' / 'epoch_2.pth'
    result = run_tool('train.py', config, '--from', stage1, '--teacher',
                      teacher, '--reset-head', '--work-dir', tmp_path,
                      '--cfg-options', 'optim_wrapper.optimizer.lr=0.0',
                      *ONE_EPOCH)
    assert '[1/1] stage2: training' in result.stdout
    given, got = (
        torch.load(path, weights_only=True)['state_dict']
        for path in (stage1, tmp_path / 'epoch_1.pth'))
    for key in given:
        if 'running_' in key or 'num_batches' in key:
            continue  # BN statistics move although the learning rate is 0
        assert torch.equal(given[key], got[key]) != key.startswith('head.'), \
            key


def test_mixed_precision_on_a_cpu(run_tool, config, trained, tmp_path):
    result = run_tool('train.py', config, '--from',
                      trained / 'stage1' / 'epoch_2.pth', '--teacher',
                      trained / 'teacher' / 'epoch_2.pth', '--amp',
                      '--no-validate', '--work-dir', tmp_path, '--cfg-options',
                      *ONE_EPOCH)
    scalars, = tmp_path.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [row['loss'] for row in rows]
    assert len(losses) == 8 and all(0 < loss < 5 for loss in losses)
    assert not any('accuracy/top1' in row for row in rows)
    assert 'OPs (BOPs/64 + FLOPs)            53,376' in result.stdout
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert {v.dtype
            for v in state['state_dict'].values()
            } == {torch.float32, torch.int64}


def test_another_width_is_refused_before_the_teacher_is_trained(
        run_tool, config, trained, tmp_path):
    result = run_tool(
        'train.py',
        config,
        '--from',
        trained / 'epoch_2.pth',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'model.backbone.stem_channels=8',
        'model.backbone.arch=[(16, 2), (32, 1)]',
        'model.head.in_channels=32',
        check=False)
    assert result.returncode != 0 and not list(tmp_path.iterdir())
    assert 'shape: backbone.stem.0.weight is (16, 1, 3, 3), the model has ' \
        '(8, 1, 3, 3)' in result.stderr
    assert 'unexpected: backbone.stages.1.0.sign1.alpha (32,)' in result.stderr
