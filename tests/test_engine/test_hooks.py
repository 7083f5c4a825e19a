"""The hooks in a tiny Runner, and on their own."""
import copy
import random
from itertools import count
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

from mmreact.datasets.transforms import SeedAugmentation
from mmreact.engine import (EstimatorScheduleHook, OPsCounterHook,
                            ReproducibilityHook, StrictLoadHook)
from mmreact.engine.hooks.reproducibility_hook import (get_rng_state,
                                                       set_rng_state)
from mmreact.layers import RSign
from mmreact.utils.checkpoint import CheckpointError

NUMBER = count()


class Net(BaseModel):
    """Draws from all generators while it trains."""

    def __init__(self, width=2, classes=3, extra=False):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, width, 1), nn.BatchNorm2d(width))
        self.head = nn.Linear(width, classes)
        self.head_of_another = nn.Linear(1, 1) if extra else None
        self.draws = []

    def forward(self, inputs, mode='tensor'):
        if mode == 'tensor':
            return self.head(self.backbone(inputs).mean((2, 3)))
        numbers = [random.random(), np.random.rand(), torch.rand(1).item()]
        if mode == 'loss':
            self.draws.append(numbers)
        return dict(loss=self(inputs).square().mean())

    def val_step(self, data):
        self(data['inputs'], mode='predict')
        return [BaseDataElement()]

    test_step = val_step


def draws():
    """One number of each generator."""
    return random.random(), np.random.randn(), torch.randn(1).item()


def loader():
    dataset = [dict(inputs=torch.full((1, 2, 2), float(i))) for i in range(4)]
    return dict(
        dataset=dataset,
        batch_size=2,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=True))


def make_runner(folder, hooks, model=None, epochs=2, validate=True, **kwargs):
    torch.manual_seed(0)
    return Runner(
        model=model or Net(),
        work_dir=str(folder),
        train_dataloader=loader(),
        val_dataloader=loader() if validate else None,
        test_dataloader=loader(),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg={} if validate else None,
        test_cfg={},
        val_evaluator=Evaluator([]) if validate else None,
        test_evaluator=Evaluator([]),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=hooks,
        randomness=dict(seed=5),
        experiment_name=f'test_hooks_{next(NUMBER)}',
        # It stays for later tests; mmengine's own would not find our models.
        default_scope='mmpretrain',
        log_level='ERROR',
        **kwargs)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Of one epoch of a Net."""
    folder = tmp_path_factory.mktemp('checkpoint')
    make_runner(folder, [ReproducibilityHook()], epochs=1).train()
    return str(folder / 'epoch_1.pth')


MISFITS = [
    (dict(width=3), [
        'shape: backbone.0.weight is (2, 1, 1, 1), the model has (3, 1, 1, 1)',
        'shape: backbone.1.running_var is (2,), the model has (3,)',
        'shape: head.weight is (3, 2), the model has (3, 3)', ' 7 keys'
    ]),
    (dict(classes=7), ['shape: head.weight', 'shape: head.bias', ' 2 keys']),
    (dict(extra=True), [
        'missing: head_of_another.weight (1, 1)',
        'missing: head_of_another.bias (1,)', ' 2 keys'
    ]),
]


@pytest.mark.parametrize('how', ['load_from', 'resume', 'auto'])
@pytest.mark.parametrize('options,words', MISFITS)
def test_misfits_are_named(checkpoint, tmp_path, options, words, how):
    if how == 'auto':
        (tmp_path / 'last_checkpoint').write_text(checkpoint)
    runner = make_runner(
        tmp_path, [StrictLoadHook()],
        Net(**options),
        load_from=None if how == 'auto' else checkpoint,
        resume=how != 'load_from')
    before = copy.deepcopy(runner.model.state_dict())
    with pytest.raises(CheckpointError) as error:
        runner.train()
    for word in [str(tmp_path) if how == 'auto' else checkpoint, *words]:
        assert word in str(error.value)
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, before[key])


def test_unexpected_keys_are_named(tmp_path):
    runner = make_runner(tmp_path, [])
    state = dict(runner.model.state_dict(), more=torch.zeros(2))
    torch.save(dict(state_dict=state), tmp_path / 'more.pth')
    runner = make_runner(
        tmp_path, [StrictLoadHook()], load_from=str(tmp_path / 'more.pth'))
    with pytest.raises(CheckpointError, match=r'unexpected: more \(2,\)'):
        runner.test()


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('wrapped', [True, False])
def test_a_fitting_checkpoint_is_loaded(checkpoint, tmp_path, prefix, wrapped):
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    other = {prefix + key: value for key, value in state.items()}
    torch.save(
        dict(state_dict=other) if wrapped else other, tmp_path / 'other.pth')
    runner = make_runner(
        tmp_path, [StrictLoadHook()], load_from=str(tmp_path / 'other.pth'))
    runner.load_or_resume()
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, state[key])


@pytest.mark.parametrize('classes', [3, 7])
def test_reset_head(checkpoint, tmp_path, classes):
    """Exactly head.* stays the model's; head_of_another is no head."""
    runner = make_runner(
        tmp_path, [StrictLoadHook(reset_head=True)],
        Net(classes=classes),
        load_from=checkpoint)
    before = copy.deepcopy(runner.model.state_dict())
    runner.train_loop  # built: this Runner trains
    runner.load_or_resume()
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    for key, value in runner.model.state_dict().items():
        source = before if key.startswith('head.') else state
        assert torch.equal(value, source[key])
        if key != 'backbone.1.num_batches_tracked':
            assert not torch.equal(before[key], state.get(key))
    runner = make_runner(
        tmp_path, [StrictLoadHook(reset_head=True)],
        Net(classes=7, extra=True),
        load_from=checkpoint)
    with pytest.raises(CheckpointError, match=' 2 keys') as error:
        runner.train()
    assert 'missing: head_of_another.bias' in str(error.value)


@pytest.mark.parametrize('do', ['resume', 'test', 'val'])
def test_reset_head_is_for_the_start_of_training_only(checkpoint, tmp_path,
                                                      do):
    """A config of a transfer can be tested and resumed."""
    runner = make_runner(
        tmp_path, [StrictLoadHook(reset_head=True)],
        load_from=checkpoint,
        epochs=1,
        resume=do == 'resume')
    getattr(runner, 'train' if do == 'resume' else do)()
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, state[key])


def test_rng_states_round_trip(tmp_path):
    for generator in (random, np.random):
        generator.seed(1)
    torch.manual_seed(1)
    draws()  # leaves half a Gaussian pair in numpy and in torch
    torch.save(get_rng_state(), tmp_path / 'states.pth')
    expected = [draws() for _ in range(700)]  # more than numpy's 624 words
    for _ in range(2):
        set_rng_state(torch.load(tmp_path / 'states.pth', weights_only=True))
        assert [draws() for _ in range(700)] == expected


@pytest.mark.parametrize('hooks,equal', [([ReproducibilityHook], True),
                                         ([], False)])
def test_resumed_run_draws_the_same(tmp_path, hooks, equal):

    def train(folder, **kwargs):
        runner = make_runner(tmp_path / folder, [h() for h in hooks], **kwargs)
        random.seed(runner.seed)
        np.random.seed(runner.seed)
        torch.manual_seed(runner.seed)
        runner.train()
        return runner.model.draws

    whole = train('whole', epochs=3)
    first = train('parts', epochs=1)
    draws()  # another process would have other states
    rest = train('parts', epochs=3, resume=True)
    assert len(whole) == 6 and first == whole[:2]
    assert (rest == whole[2:]) is equal
    if equal:  # validation, which draws, is no part of it
        assert train('quiet', epochs=3, validate=False) == whole


def test_load_from_does_not_take_the_states(checkpoint, tmp_path):
    hook = ReproducibilityHook()
    runner = make_runner(tmp_path, [hook], load_from=checkpoint)
    runner.load_or_resume()
    assert hook.states is None


def dataset_of(*transforms):
    return SimpleNamespace(pipeline=SimpleNamespace(transforms=transforms))


def inside(name, value):
    return SimpleNamespace(**{name: value})


@pytest.mark.parametrize('wrap', [
    lambda d: d,
    lambda d: inside('dataset', d),
    lambda d: inside('dataset', inside('dataset', d)),
    lambda d: inside('datasets', [dataset_of(), d]),
    lambda d: inside('dataset', inside('datasets', [d, dataset_of()])),
])
def test_augmentation_gets_seed_and_epoch(wrap):
    """Also in MMEngine's wrappers: RepeatDataset, ConcatDataset, ..."""
    seed = SeedAugmentation()
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(
            dataset=wrap(dataset_of(lambda x: x, seed))),
        seed=11,
        epoch=4)
    ReproducibilityHook().before_train_epoch(runner)
    assert seed._seed_and_epoch.tolist() == [11, 4]


def test_data_without_a_pipeline():
    loader = SimpleNamespace(dataset=[1, 2])
    runner = SimpleNamespace(train_dataloader=loader, seed=1, epoch=0)
    ReproducibilityHook().before_train_epoch(runner)


@pytest.mark.parametrize('first', ['train', 'val', 'test'])
@pytest.mark.parametrize('shape,pixels', [(None, 20), ((1, 3, 3), 9)])
@pytest.mark.parametrize('wrapped', [False, True])
def test_ops_are_logged_once(first, shape, pixels, wrapped, monkeypatch):
    model = Net()
    if wrapped:
        wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
        nn.Module.__init__(wrapper)
        wrapper.module = model
    runner = SimpleNamespace(
        model=wrapper if wrapped else model, logger=Mock())
    hook = OPsCounterHook(shape)
    batch = dict(inputs=[torch.zeros(1, 4, 5), torch.zeros(1, 7, 7)])
    for mode in (first, 'train', 'val', 'test'):
        for i in range(2):
            getattr(hook, f'before_{mode}_iter')(runner, i, batch)
    runner.logger.info.assert_called_once()
    text, = runner.logger.info.call_args.args
    macs = 2 * pixels + 2 * 3
    assert str(shape or (1, 4, 5)) in text
    assert f'{macs}' in next(r for r in text.splitlines() if ' FLOPs' in r)
    assert model.training


def test_no_ops_of_a_stand_in():
    """MMPretrain's vis_scheduler.py iterates over numbers."""
    runner = SimpleNamespace(model=Net(), logger=Mock())
    OPsCounterHook().before_train_iter(runner, 0, 0)
    runner.logger.info.assert_not_called()


class SignNet(Net):
    """Notes the first sign's progress at each forward of the training."""

    def __init__(self, estimator='tanh'):
        super().__init__()
        self.backbone.append(RSign(2, estimator))
        self.backbone.append(RSign(2, 'approx'))
        self.progress = []

    def forward(self, inputs, mode='tensor'):
        if mode == 'loss':
            estimators = [m.estimator for m in self.backbone[2:]]
            assert estimators[1] == 'approx'
            self.progress.append(estimators[0].get('progress'))
        return super().forward(inputs, mode)


# by_epoch -> the progress of each of 4 epochs with 2 iterations
SCHEDULES = [(True, [0, 0, .25, .25, .5, .5, .75, .75]),
             (False, [i / 8 for i in range(8)])]


@pytest.mark.parametrize('by_epoch,expected', SCHEDULES)
@pytest.mark.parametrize('estimator', ['tanh', dict(type='tanh', t_max=5.)])
def test_estimator_schedule(tmp_path, by_epoch, expected, estimator):
    """Also after a resume, and with the estimator's other parameters."""

    def train(epochs, **kwargs):
        model = SignNet(copy.deepcopy(estimator))
        hook = EstimatorScheduleHook(by_epoch)
        runner = make_runner(tmp_path, [hook], model, epochs=4, **kwargs)
        if epochs < 4:
            runner.train_loop.run_epoch = stop_after(
                epochs, runner.train_loop.run_epoch)
        try:
            runner.train()
        except KeyboardInterrupt:
            pass
        return model

    first = train(2)
    assert first.progress == expected[:4]
    rest = train(4, resume=True)
    assert rest.progress == expected[4:]
    assert rest.backbone[2].estimator.get('t_max') == (5. if isinstance(
        estimator, dict) else None)


def stop_after(number, function):
    """Call a function so often and then raise KeyboardInterrupt."""
    calls = count()

    def call():
        if next(calls) == number:
            raise KeyboardInterrupt
        function()

    return call


def test_estimator_schedule_without_effect(tmp_path):
    runner = make_runner(tmp_path, [EstimatorScheduleHook()])
    with pytest.raises(ValueError, match='no layer has an estimator'):
        runner.train()


def test_precise_bn(tmp_path):
    """MMPretrain's hook, from a config, before the checkpoint is written.

    The statistics are the averages of those of the batches, for the weights
    after the epoch.
    """
    hook = dict(
        type='PreciseBNHook',
        num_samples=4,
        interval=1,
        priority='ABOVE_NORMAL')
    runner = make_runner(tmp_path, [hook], epochs=1, validate=False)
    runner.train()
    state = torch.load(tmp_path / 'epoch_1.pth')['state_dict']
    # Images hold 0, 1, 2 or 3 in every pixel, two images a batch; the mean
    # over two batches is that over all, 1.5.
    weight, bias = state['backbone.0.weight'].flatten(
    ), state['backbone.0.bias']
    torch.testing.assert_close(state['backbone.1.running_mean'],
                               1.5 * weight + bias)
    plain = make_runner(tmp_path / 'plain', [], epochs=1, validate=False)
    plain.train()
    other = plain.model.state_dict()
    assert torch.equal(other['backbone.0.weight'], state['backbone.0.weight'])
    assert not torch.allclose(other['backbone.1.running_mean'],
                              state['backbone.1.running_mean'])


@pytest.mark.parametrize('keep', [[], ['meta'], ['meta', 'optimizer']])
def test_weights_alone_cannot_be_resumed(checkpoint, tmp_path, keep):
    content = torch.load(checkpoint, weights_only=True)
    path = tmp_path / 'weights.pth'
    torch.save({k: content[k] for k in ['state_dict', *keep]}, path)
    runner = make_runner(
        tmp_path, [StrictLoadHook()], load_from=str(path), resume=True)
    with pytest.raises(
            CheckpointError, match='no state of a training.*--from'):
        runner.train()
