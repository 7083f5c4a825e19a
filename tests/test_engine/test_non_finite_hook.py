"""A training that goes wrong stops, says where, and harms no checkpoint."""
import math
from contextlib import contextmanager
from itertools import count

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmreact import compat  # noqa: F401, lets torch read the checkpoints
from mmreact.engine import NonFiniteError, NonFiniteHook

NUMBER = count()
BAD_ITER = 5  # of 4 an epoch, counted from 0: epoch 2, iteration 2


class Spoil(torch.autograd.Function):
    """The identity, with a gradient that is spoilt."""

    @staticmethod
    def forward(ctx, x, value):
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.value, None


class Layer(nn.Module):
    """A convolution that can be told to spoil what it gives."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 2, 1, 1))
        self.output = self.gradient = 1.

    def forward(self, x):
        y = nn.functional.conv2d(x, self.weight) * self.output
        return Spoil.apply(y, self.gradient)


class Net(BaseModel):

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            Layer(2), nn.BatchNorm2d(2), Layer(2), nn.BatchNorm2d(2), Layer(3))
        self.scale, self.calls = 1., 0

    def forward(self, inputs, mode='loss'):
        self.calls += 1
        y = self.layers(inputs)
        return dict(loss=y.square().mean() * self.scale)


class SpoilAt(NonFiniteHook):
    """Spoils something at an iteration, before the hook under test looks."""

    def __init__(self, target, value, on_cpu=True, at=BAD_ITER, **kwargs):
        super().__init__(**kwargs)
        self.target, self.value, self.at = target, value, at
        self.as_on_cpu = on_cpu

    def before_train(self, runner):
        super().before_train(runner)
        self.on_cpu = self.as_on_cpu

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        super().before_train_iter(runner, batch_idx, data_batch)
        if runner.iter == self.at:
            self.before = {
                name: p.clone()
                for name, p in runner.model.named_parameters()
            }
            if self.target == 'data':
                data_batch['inputs'][0].fill_(self.value)
            else:
                owner, _, name = self.target.rpartition('.')
                owner = runner.model.get_submodule(owner)
                setattr(owner, name, self.value)


def run(folder, hook, **kwargs):
    torch.manual_seed(0)
    data = [dict(inputs=torch.randn(2, 3, 3)) for _ in range(8)]
    runner = Runner(
        model=Net(),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=data,
            batch_size=2,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=kwargs.pop('optim_wrapper',
                                 dict(optimizer=dict(type='SGD', lr=0.01))),
        default_hooks=dict(
            checkpoint=dict(type='VerifiedCheckpointHook', interval=1),
            non_finite=hook),
        randomness=dict(seed=5),
        experiment_name=f'test_non_finite_{next(NUMBER)}',
        default_scope='mmpretrain',
        log_level='ERROR',
        **kwargs)
    runner.train()
    return runner


#: What is spoilt, how, and what the error says of it with the weights as they
#: were before the step, and when they are already updated.
CASES = [
    ('layers.2.output', math.nan, 'the output of layers.2 (Layer).',
     'before or in the layer layers.3:'),
    ('layers.0.output', math.inf, 'the output of layers.0 (Layer).',
     'before or in the layer layers.1:'),
    ('data', math.nan, 'the output of data_preprocessor (BaseDataPreproc',
     'before or in the layer layers.1:'),
    ('scale', math.nan, 'the output of the loss function.', 'no gradient is'),
    ('layers.2.gradient', math.nan, 'in the gradient of layers.2.weight (in',
     'in the gradient of layers.2.weight (in'),
    ('layers.0.gradient', math.inf, 'in the gradient of layers.0.weight (in',
     'in the gradient of layers.0.weight (in'),
    ('layers.4.gradient', math.inf, 'All layers\' outputs are finite, and no',
     'no gradient is'),
]


@pytest.mark.parametrize('on_cpu', [True, False], ids=['cpu', 'gpu'])
@pytest.mark.parametrize('target,value,exact,late', CASES)
def test_names_the_layer(tmp_path, target, value, exact, late, on_cpu):
    """'gpu' is what happens there: the step is done before it is looked."""
    hook = SpoilAt(target, value, on_cpu)
    with pytest.raises(NonFiniteError) as error:
        run(tmp_path, hook)
    message = str(error.value)
    assert 'Epoch 2, iteration 2 (6 in all): ' in message
    assert (exact if on_cpu else late) in message
    path = tmp_path / 'epoch_1.pth'
    assert f'The last good checkpoint is {path}. ' in message
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    saved = torch.load(path, weights_only=True)
    assert all(v.isfinite().all() for v in saved['state_dict'].values())
    if on_cpu:  # nothing was updated
        for name, p in hook.model.named_parameters():
            assert torch.equal(p, hook.before[name]), name


def test_in_the_first_epoch(tmp_path):
    with pytest.raises(NonFiniteError, match='There is no checkpoint yet'):
        run(tmp_path, SpoilAt('scale', math.nan, at=0))


def test_clipping_spreads_it(tmp_path):
    """With one norm for all, no single gradient can be named."""
    wrapper = dict(
        optimizer=dict(type='SGD', lr=0.01), clip_grad=dict(max_norm=1.))
    with pytest.raises(NonFiniteError, match='or in gradient clipping'):
        run(tmp_path,
            SpoilAt('layers.2.gradient', math.nan),
            optim_wrapper=wrapper)


def test_weights_are_looked_at_before_they_are_saved(tmp_path):
    """Finite gradients, and a step that is too large."""

    class Overflow(NonFiniteHook):

        def after_train_iter(self, runner, *args, **kwargs):
            super().after_train_iter(runner, *args, **kwargs)
            if runner.iter == 7:  # the last one
                runner.model.layers[2].weight.data.fill_(math.inf)

    with pytest.raises(NonFiniteError, match='layers.2.weight is NaN or inf'):
        run(tmp_path, Overflow())
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']


class Scaled(OptimWrapper):
    """MMEngine's AmpOptimWrapper, which refuses a CPU, without autocast."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', growth_interval=2)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    @contextmanager
    def optim_context(self, model):
        yield


@pytest.mark.parametrize('bad,ok', [(1, True), (3, True), (4, False)])
def test_skipped_steps_of_loss_scaling(tmp_path, bad, ok):
    """Infinite gradients are normal, but not again and again."""

    class Sometimes(NonFiniteHook):

        def before_train_iter(self, runner, *args, **kwargs):
            super().before_train_iter(runner, *args, **kwargs)
            spoilt = runner.iter < bad
            runner.model.layers[2].gradient = math.inf if spoilt else 1.

    wrapper = dict(type=Scaled, optimizer=dict(type='SGD', lr=0.01))
    if ok:
        run(tmp_path, Sometimes(max_skipped=4), optim_wrapper=wrapper)
        assert len(list(tmp_path.glob('*.pth'))) == 2
    else:
        with pytest.raises(NonFiniteError, match='last 4 steps were skipped'):
            run(tmp_path, Sometimes(max_skipped=4), optim_wrapper=wrapper)


def test_nothing_changes_and_nothing_is_run_twice(tmp_path):
    with_hook = run(tmp_path / 'a', NonFiniteHook())
    without = run(tmp_path / 'b', dict(type='IterTimerHook'))
    assert with_hook.model.calls == without.model.calls == 8
    for a, b in zip(with_hook.model.parameters(), without.model.parameters()):
        assert torch.equal(a, b)
