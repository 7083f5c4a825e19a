"""Resumed with epochs of another length, schedules end where they should.

The judge is a training that had the new length from the beginning. Another
batch size and a changed checkpoint stand for another number of processes;
real ones are in tests/test_tools/test_dist_resume.py.
"""
from itertools import count

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmreact.engine import ReproducibilityHook, ResumeScheduleHook

NUMBER = count()
IMAGES, EPOCHS = 12, 4
LINEAR = dict(
    type='LinearLR',
    start_factor=1.0,
    end_factor=0.0,
    end=EPOCHS,
    convert_to_iter_based=True)
SCHEDULES = {
    'linear': [LINEAR],
    'warm-up and cosine': [
        dict(LINEAR, start_factor=0.1, end_factor=1.0, end=1),
        dict(
            type='CosineAnnealingLR',
            T_max=3,
            begin=1,
            end=EPOCHS,
            convert_to_iter_based=True),
    ],
    'steps by epoch': [dict(type='MultiStepLR', milestones=[1, 3])],
    'linear and momentum': [
        LINEAR,
        dict(LINEAR, type='LinearMomentum', end_factor=0.5),
    ],
}


class Net(BaseModel):

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.norm(self.conv(inputs)).square().mean())


class Recorder(Hook):
    """What each iteration trained with."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append((runner.epoch, runner.iter,
                          [(group['lr'], group['momentum'])
                           for group in runner.optim_wrapper.param_groups]))


def train(folder, batch, schedule, epochs=EPOCHS, by_epoch=True, **kwargs):
    """Train; returns what :class:`Recorder` saw."""
    torch.manual_seed(0)
    recorder = Recorder()
    dataset = [
        dict(inputs=torch.full((1, 2, 2), float(i))) for i in range(IMAGES)
    ]
    runner = Runner(
        model=Net(),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=dataset,
            batch_size=batch,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=True)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs) if by_epoch else dict(
            by_epoch=False, max_iters=epochs),
        # Two groups: MMEngine keeps a third, for its log.
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
            paramwise_cfg=dict(custom_keys={'norm': dict(lr_mult=0.5)})),
        param_scheduler=[dict(one) for one in SCHEDULES[schedule]],
        default_hooks=dict(
            logger=None,
            checkpoint=dict(
                type='CheckpointHook', interval=1, by_epoch=by_epoch)),
        custom_hooks=[recorder,
                      ReproducibilityHook(),
                      ResumeScheduleHook()],
        randomness=dict(seed=5),
        experiment_name=f'test_resume_schedule_{next(NUMBER)}',
        default_scope='mmpretrain',
        log_level='WARNING',
        **kwargs)
    runner.train()
    return recorder.seen


def as_of_processes(path, number):
    """Make a checkpoint one that a number of processes wrote; its path."""
    checkpoint = torch.load(path)
    checkpoint['rng_states'] = checkpoint['rng_states'][:1] * number
    torch.save(checkpoint, path)
    return str(path)


@pytest.mark.parametrize('before,now', [(6, 3), (4, 12)])
@pytest.mark.parametrize('schedule', SCHEDULES)
def test_as_if_it_had_been_so_from_the_beginning(tmp_path, schedule, before,
                                                 now):
    """Counters, learning rates and momenta, to the last bit."""
    train(tmp_path / 'a', before, schedule, epochs=2)
    resumed = train(
        tmp_path / 'b',
        now,
        schedule,
        load_from=as_of_processes(tmp_path / 'a/epoch_2.pth', 2),
        resume=True)
    undisturbed = train(tmp_path / 'c', now, schedule)
    assert resumed == undisturbed[-len(resumed):]
    assert resumed[0][0] == 2 and resumed[-1][0] == EPOCHS - 1
    checkpoints = [
        torch.load(tmp_path / name / 'epoch_4.pth') for name in 'bc'
    ]
    for key in ('epoch', 'iter'):
        assert checkpoints[0]['meta'][key] == checkpoints[1]['meta'][key]


def test_the_learning_rate_follows_the_batch(tmp_path):
    scale = dict(auto_scale_lr=dict(base_batch_size=6, enable=True))
    train(tmp_path / 'a', 6, 'linear', epochs=2, **scale)
    resumed = train(
        tmp_path / 'b',
        3,
        'linear',
        load_from=as_of_processes(tmp_path / 'a/epoch_2.pth', 2),
        resume=True,
        **scale)
    # 4 iterations an epoch, 16 in all; the last is without effect.
    for i, (_, _, groups) in enumerate(resumed, 8):
        expected = 0.1 * 3 / 6 * (1 - i / 15)
        rates = [lr for lr, _ in groups[:-1]]
        assert max(rates) == pytest.approx(expected, abs=1e-12)
        assert min(rates) == pytest.approx(expected / 2, abs=1e-12)


@pytest.mark.parametrize('by_epoch,processes', [(True, 0), (True, 1),
                                                (False, 2)])
def test_else_a_checkpoint_is_resumed_as_it_is(tmp_path, by_epoch, processes):
    """Its learning rate counts, as always in MMEngine."""
    train(tmp_path / 'a', 6, 'linear', epochs=2, by_epoch=by_epoch)
    path = tmp_path / 'a' / ('epoch_2.pth' if by_epoch else 'iter_2.pth')
    checkpoint = torch.load(path)
    checkpoint['optimizer']['param_groups'][0]['lr'] = 0.25
    # Of iterations, ReproducibilityHook has none.
    checkpoint.setdefault('rng_states', [{}])
    torch.save(checkpoint, path)
    resumed = train(
        tmp_path / 'b',
        6,
        'linear',
        by_epoch=by_epoch,
        load_from=as_of_processes(path, processes),
        resume=True)
    assert resumed[0][2][0][0] == 0.25
