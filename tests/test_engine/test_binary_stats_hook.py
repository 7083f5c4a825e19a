"""BinaryStatsHook in a tiny Runner, against a hook that computes plainly."""
import json
import socket
from itertools import count
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import MODEL_WRAPPERS, VISBACKENDS
from mmengine.runner import Runner
from mmengine.visualization import BaseVisBackend
from mmpretrain.utils import load_json_log
from torch import distributed as dist
from torch import nn

from mmreact import compat
from mmreact.engine import BinaryStatsHook
from mmreact.layers import BinaryConv2d, BinaryLinear, RPReLU, RSign

NUMBER = count()


class Net(BaseModel):
    """Each kind of layer; channel 3 of the first sign is dead."""

    def __init__(self, weight='scaled_sign', activation='sign', binary=True):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4),
            RSign(4, binarizer=activation),
            BinaryConv2d(4, 6, 1, weight_binarizer=weight), RPReLU(6),
            nn.Flatten(), RSign(24, 'clip', False, activation),
            BinaryLinear(24, 3, weight_binarizer=weight)) if (
                binary) else nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        if binary:
            self.net[2].alpha.data = torch.tensor([0., .5, -.5, 99])
            self.net[3].weight.data *= 3  # some beyond ±1

    def forward(self, inputs, target, mode='loss'):
        loss = nn.functional.cross_entropy(self.net(inputs), target)
        return dict(loss=30 * loss)


def batches():
    generator = torch.Generator().manual_seed(1)
    return [
        dict(
            inputs=torch.randn(1, 2, 2, generator=generator),
            target=torch.tensor(i % 3)) for i in range(12)
    ]


def train(folder, hooks, model=None, epochs=3, cfg=None, **kwargs):
    """Train for three iterations an epoch."""
    runner = Runner(
        model=model or Net(),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=batches(),
            batch_size=4,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.2)),
        custom_hooks=hooks,
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        experiment_name=f'test_binary_stats_{next(NUMBER)}',
        default_scope='mmpretrain',
        log_level='ERROR',
        cfg=cfg,
        **kwargs)
    runner.train()
    return runner


def stats(interval=1):
    return dict(type='BinaryStatsHook', interval=interval)


def log_of(folder):
    """The lines of all logs in a work directory, in their order."""
    return [
        json.loads(line)
        for path in sorted(folder.glob('*/vis_data/binary_stats.json'))
        for line in path.read_text().splitlines()
    ]


def spread(name, key, values):
    return {
        f'{name}_min/{key}': min(values),
        f'{name}_median/{key}': np.median(values),
        f'{name}_max/{key}': max(values)
    }


def expected_activations(key, x, y):
    """From the centred input and the output of a sign, channels first."""
    shares = [channel.eq(1).double().mean().item() for channel in y]
    zeros = [abs(v) > 1 for v in x.double().flatten().tolist()]
    return dict(
        spread('positive_share', key, shares), **{
            f'dead_channels/{key}': sum(s in (0, 1) for s in shares),
            f'activation_zero_gradient/{key}': np.mean(zeros)
        })


def expected_weights(key, old, new):
    """From a layer's weights at the last log and now."""
    pairs = list(zip(old.flatten().tolist(), new.flatten().tolist()))
    return {
        f'weight_magnitude/{key}': np.mean([abs(b) for _, b in pairs]),
        f'weight_zero_gradient/{key}': np.mean([abs(b) > 1 for _, b in pairs]),
        f'sign_flips/{key}': np.mean([(a > 0) != (b > 0) for a, b in pairs])
    }


class Plain(Hook):
    """Computes the log's lines from the tensors themselves."""
    priority = 'VERY_LOW'

    def __init__(self, interval):
        self.interval = interval
        self.lines, self.seen = [], {}

    def before_train(self, runner):
        net = runner.model.net
        self.old = {i: net[i].weight.detach().clone() for i in (3, 7)}
        for i in (2, 6):
            net[i].register_forward_hook(
                lambda layer, args, y, i=i: self.seen.update(
                    {i: (args[0].detach().clone(), y.detach().clone())}))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.alpha = runner.model.net[2].alpha.detach().clone()

    def after_train_iter(self, runner, batch_idx, **kwargs):
        if (runner.iter + 1) % self.interval:
            return
        net = runner.model.net
        x, y = (t.transpose(0, 1) for t in self.seen[2])
        line = expected_activations('net.2', x - self.alpha.view(4, 1, 1, 1),
                                    y)
        x, y = (t.transpose(0, 1) for t in self.seen[6])
        line.update(expected_activations('net.6', x, y))
        line.update(spread('alpha', 'net.2', net[2].alpha.tolist()))
        line.update(spread('gamma', 'net.4', net[4].gamma.tolist()))
        line.update(spread('zeta', 'net.4', net[4].zeta.tolist()))
        for i in (3, 7):
            new = net[i].weight.detach().clone()
            line.update(expected_weights(f'net.{i}', self.old[i], new))
            self.old[i] = new
        self.lines.append(dict(line, step=runner.iter + 1))


@pytest.mark.parametrize('interval', [1, 2, 3, 5])
def test_log(tmp_path, interval):
    plain = Plain(interval)
    train(tmp_path, [stats(interval), plain])
    lines = log_of(tmp_path)
    assert [line['step']
            for line in lines] == list(range(interval, 10, interval))
    for line, expected in zip(lines, plain.lines):
        assert line == pytest.approx(expected, rel=1e-5, abs=1e-7)
    if interval == 1:  # the numbers are not trivial
        for key in ('sign_flips/net.3', 'weight_zero_gradient/net.3',
                    'activation_zero_gradient/net.2'):
            assert any(0 < line[key] < 1 for line in lines), key
    assert all(line['dead_channels/net.2'] >= 1 for line in lines)


@pytest.mark.parametrize('interval', [1, 3])
def test_training_is_unchanged(tmp_path, interval):
    runs = [
        train(tmp_path / str(i), hooks).model.state_dict()
        for i, hooks in enumerate([[], [stats(interval)]])
    ]
    assert runs[0].keys() == runs[1].keys()
    for key, value in runs[0].items():
        assert torch.equal(value, runs[1][key]), key


def test_other_iterations_are_free(tmp_path, monkeypatch):
    """No hook on a layer and nothing computed where nothing is logged."""
    module = 'mmreact.engine.hooks.binary_stats_hook.'
    seen = []

    class Look(Net):

        def forward(self, *args, **kwargs):
            seen.append([
                len(m._forward_pre_hooks) + len(m._forward_hooks)
                for m in self.net
            ])
            return super().forward(*args, **kwargs)

    for name in ('layer_statistics', 'to_numbers', 'weight_signs'):
        monkeypatch.setattr(module + name, counting(name, seen, module))
    runner = train(tmp_path, [stats(4)], Look())
    none, signs = [0] * 8, [0, 0, 1, 0, 0, 0, 1, 0]
    log = [signs, *['layer_statistics'] * 5, 'weight_signs', 'to_numbers']
    once = ['weight_signs', none, none, none]
    assert seen == [*once, *log, none, none, none, *log, none]
    assert not any(m._forward_pre_hooks for m in runner.model.modules())


def counting(name, seen, module):
    """A function of the hook's that also notes that it was called."""
    function = getattr(__import__(module[:-1], fromlist=[name]), name)

    def call(*args):
        seen.append(name)
        return function(*args)

    return call


# weight binarizer, activation binarizer, what is left out
REAL = [('real', 'sign', ['sign_flips', 'weight_zero']),
        ('sign', 'real', ['positive', 'dead', 'activation']),
        ('real', 'tanh',
         ['sign_flips', 'weight_zero', 'positive', 'dead', 'activation'])]


@pytest.mark.parametrize('weight,activation,missing', REAL)
def test_real_stages(tmp_path, weight, activation, missing):
    train(tmp_path / 'a', [stats()], epochs=1)
    train(tmp_path / 'b', [stats()], Net(weight, activation), epochs=1)
    whole, *_ = log_of(tmp_path / 'a')
    part, *_ = log_of(tmp_path / 'b')
    assert part.keys() == {
        key
        for key in whole if not key.startswith(tuple(missing))
    }


@pytest.mark.parametrize('interval', [2, 4])
def test_resumed_run_logs_the_same(tmp_path, interval):
    """Flips are counted from the last log, also before the interruption."""
    train(tmp_path / 'whole', [stats(interval)])
    train(tmp_path / 'parts', [stats(interval)], epochs=1)
    train(tmp_path / 'parts', [stats(interval)], resume=True)
    whole = log_of(tmp_path / 'whole')
    assert log_of(tmp_path / 'parts') == whole and len(whole) == 9 // interval


@pytest.mark.parametrize('before', [[], [stats(3)], 'other shape', 'other'])
def test_resume_without_fitting_signs(tmp_path, before):
    """The first interval is shorter (4, 5): it has no flips."""
    train(
        tmp_path, before if isinstance(before, list) else [stats(5)], epochs=1)
    if isinstance(before, str):
        path = tmp_path / 'epoch_1.pth'
        content = torch.load(path, weights_only=True)
        signs = content['binary_stats']['signs']
        signs['net.3' if 'shape' in before else before] = torch.zeros(
            9, dtype=torch.uint8)
        torch.save(content, path)
    train(tmp_path, [stats(5)], resume=True, epochs=4)
    first, second = log_of(tmp_path)[-2:]
    assert (first['step'], second['step']) == (5, 10)
    assert 'sign_flips/net.3' not in first and 'alpha_min/net.2' in first
    assert 'sign_flips/net.3' in second


def test_checkpoint_holds_bits(tmp_path):
    runner = train(tmp_path, [stats(3)], epochs=1)
    kept = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    signs = kept['binary_stats']['signs']
    for name, layer in (('net.3', runner.model.net[3]), ('net.7',
                                                         runner.model.net[7])):
        bits = ''.join('01'[v > 0] for v in layer.weight.flatten().tolist())
        assert ''.join(f'{v:08b}'
                       for v in signs[name].tolist()).startswith(bits)
        assert len(signs[name]) == -(-len(bits) // 8)


@VISBACKENDS.register_module()
class KeepingVisBackend(BaseVisBackend):
    """Stands for TensorBoard: keeps what it is given."""
    kept = []
    experiment = None

    def __init__(self, save_dir=None):
        super().__init__(save_dir)

    def _init_env(self):
        pass

    add_config = add_graph = add_image = add_scalar = (lambda *_, **__: None)

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        if 'alpha_min/net.2' in scalar_dict:
            self.kept.append(dict(scalar_dict, step=step))


def test_backends(tmp_path):
    """scalars.json stays what MMPretrain's analyze_logs reads."""
    KeepingVisBackend.kept.clear()
    backends = [dict(type='LocalVisBackend'), dict(type='KeepingVisBackend')]
    train(
        tmp_path, [stats(4)],
        visualizer=dict(type='UniversalVisualizer', vis_backends=backends))
    lines = log_of(tmp_path)
    assert KeepingVisBackend.kept == lines and len(lines) == 2
    scalars, = tmp_path.glob('*/vis_data/scalars.json')
    log = load_json_log(str(scalars))
    assert len(log['train']) == 9 and log['val'] == []


def before_train(hook, model, folder, cfg=Config()):
    """Start a hook without a Runner."""
    runner = SimpleNamespace(
        model=model,
        logger=Mock(),
        cfg=cfg,
        iter=0,
        log_dir=str(folder),
        visualizer=SimpleNamespace(_vis_backends={}))
    hook.before_train(runner)
    return runner


def test_off(tmp_path):
    hook = BinaryStatsHook(interval=0)
    before_train(hook, Net(), tmp_path).logger.warning.assert_not_called()
    train(tmp_path, [stats(0)], epochs=1)
    assert not log_of(tmp_path)
    assert 'binary_stats' not in torch.load(
        tmp_path / 'epoch_1.pth', weights_only=True)


def test_no_binary_layers(tmp_path):
    """As of a teacher that is trained first: a warning, and no log."""
    hook = BinaryStatsHook()
    runner = before_train(hook, Net(binary=False), tmp_path)
    text, = runner.logger.warning.call_args.args
    assert 'BinaryStatsHook' in text and 'no 1-bit layers' in text
    train(tmp_path, [stats()], Net(binary=False), epochs=1)
    assert not log_of(tmp_path)


@pytest.mark.slow
def test_compiled_model(tmp_path):
    """It is left as it is; weights and shifts are logged."""
    compiled = Config(dict(compile=dict(backend='eager')))
    runs = [
        train(tmp_path / str(i), hooks, epochs=1,
              cfg=compiled).model.state_dict()
        for i, hooks in enumerate([[], [stats()]])
    ]
    assert all(torch.equal(value, runs[1][k]) for k, value in runs[0].items())
    lines = log_of(tmp_path / '1')
    assert len(lines) == 3 and 'sign_flips/net.3' in lines[0]
    assert not [key for key in lines[0] if 'dead' in key or 'share' in key]
    hook = BinaryStatsHook()
    runner = SimpleNamespace(cfg=compiled)
    runner = SimpleNamespace(
        **{
            **vars(before_train(hook, Net(), tmp_path)), 'cfg': compiled
        })
    hook.before_train(runner)
    assert 'is compiled' in runner.logger.warning.call_args.args[0]


def train_rank(rank, port, folder, queue):
    """Three iterations of a wrapped model, in one of two processes."""
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    states = []
    for hook in (BinaryStatsHook(1), BinaryStatsHook(0)):
        net = Net()
        model = MODEL_WRAPPERS.build(
            compat.cpu_model_wrapper(), default_args=dict(module=net))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
        runner = before_train(
            hook or BinaryStatsHook(0), model, folder / f'rank{rank}')
        for runner.iter in range(3):
            data = torch.utils.data.default_collate(
                batches()[6 * rank:6 * rank + 6])
            hook.before_train_iter(runner, runner.iter)
            model(**data)['loss'].backward()
            optimizer.step()
            optimizer.zero_grad()
            hook.after_train_iter(runner, runner.iter)
        states.append({k: v.numpy() for k, v in net.state_dict().items()})
    queue.put((rank, states))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes(tmp_path):
    """The main process logs, by the layers' own names; both learn the same."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    queue = mp.get_context('spawn').SimpleQueue()
    for rank in range(2):
        (tmp_path / f'rank{rank}').mkdir()
    context = mp.spawn(
        train_rank, (port, tmp_path, queue), nprocs=2, join=False)
    states = dict(queue.get() for _ in range(2))
    assert context.join() or context.join()
    for key, value in states[0][0].items():
        if 'running' not in key:  # each has statistics of its own batches
            np.testing.assert_array_equal(value, states[1][0][key])
        for rank in range(2):
            np.testing.assert_array_equal(states[rank][0][key],
                                          states[rank][1][key])
    lines = [
        json.loads(line) for line in (
            tmp_path /
            'rank0/vis_data/binary_stats.json').read_text().splitlines()
    ]
    assert [line['step'] for line in lines] == [1, 2, 3]
    assert 'positive_share_median/net.6' in lines[0]
    assert not list((tmp_path / 'rank1').iterdir())
