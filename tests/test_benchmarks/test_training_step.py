"""benchmarks/training.py, and the naive twin as a judge of ours."""
import json
import sys

import pytest
import torch
from torch import nn

from benchmarks import training, training_step, training_tables
from benchmarks.naive_training import naive_twin
from mmreact.models import ReActNet
from mmreact.models.backbones.reactnet import ReActBlock


def random_parameters(model):
    """In float64; nothing is at 0, where the twin's sign is another."""
    torch.manual_seed(1)
    for parameter in model.double().parameters():
        if parameter.ndim == 1:
            parameter.data.uniform_(-0.5, 0.5)
    return model.train()


def gradients(model, x):
    x = x.detach().requires_grad_()
    out = model(x)
    out = out[0] if isinstance(out, tuple) else out
    upstream = torch.arange(out.numel()).view(out.shape).double().sin()
    names = [name for name, _ in model.named_parameters()]
    found = torch.autograd.grad(out, [x, *model.parameters()], upstream)
    return out, dict(zip(['input', *names], found))


BLOCKS = {
    'keeps': (8, 8, 1),
    'doubles': (8, 16, 1),
    'halves the map': (8, 8, 2),
    'doubles, halves the map': (8, 16, 2),
}
MODELS = {name: lambda b=b: ReActBlock(*b) for name, b in BLOCKS.items()}
MODELS['network'] = lambda: ReActNet(
    [(16, 1), (32, 2), (32, 1), (64, 2)], in_channels=8, stem_channels=16)


@pytest.mark.parametrize('size', [(9, 12), (12, 9)])
@pytest.mark.parametrize('name', MODELS)
def test_gradients_are_the_twins(name, size):
    """In float64 to 1e-12 relative, of the input and each parameter."""
    model = random_parameters(MODELS[name]())
    twin = naive_twin(model)
    x = torch.randn(3, 8, *size, dtype=torch.float64)
    (out, ours), (expected, theirs) = (gradients(m, x) for m in (model, twin))
    # The twin's weights are sums and so are rounded.
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert (ours[key] - value).norm() <= 1e-12 * value.norm(), key
    assert all(value.norm() > 0 for value in theirs.values())


def test_what_is_kept():
    """The input of each BN and of each RPReLU, and what the first RSign sees;
    else only numbers per channel.
    """
    step = training_step.Step('ours', 2, 32, compiled=False)
    kept = 2 * 3 * 32 * 32 + 2 * 32 * 16 * 16  # image, first RSign
    small = 0

    def count(module, inputs, output):
        nonlocal kept, small
        if isinstance(module, nn.BatchNorm2d):
            kept += inputs[0].numel()
            small += 4 * module.num_features  # statistics
        elif type(module).__name__ == 'RPReLU':
            kept += inputs[0].numel()

    for module in step.network.modules():
        module.register_forward_hook(count)
    found = step.saved_bytes()
    head = 2 * 1024 + 2 * 1000 * 3  # classifier's input, loss
    assert kept * 4 <= found <= (kept + small + head) * 4 + 2000
    twin = training_step.Step('naive', 2, 32, compiled=False)
    assert found < 0.5 * twin.saved_bytes()


def test_twins_start_and_go_alike():
    steps = [
        training_step.Step(name, 2, 32, False)
        for name in training_step.CONTENDERS
    ]
    outs = []
    for step in steps:
        step.network.double()
        step.images, step.teacher = step.images.double(), step.teacher.double()
        outs.append([step.evaluate()])
        step.train()
        outs[-1].append(step.evaluate())
    twins, *ours = outs
    for each in ours:
        for expected, found in zip(twins, each):
            torch.testing.assert_close(expected, found, rtol=1e-6, atol=1e-6)
    assert not torch.equal(*outs[0])


@pytest.mark.slow
def test_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(training, 'PROCESSES', 1)
    path = tmp_path / 'training.json'
    assert training.main([
        '--rounds', '1', '--size', '32', '--batch', '2', '--threads', '1',
        '--json',
        str(path)
    ]) is None
    found = json.loads(path.read_text())
    rows = found['results']
    assert [row['contender'] for row in rows] == ['naive', 'ours', 'with_cp']
    for row in rows:
        assert 1e8 < row['import_bytes'] < row['peak_bytes'] < 4e9
    saved = [row['saved_bytes'] for row in rows]
    assert saved[0] > saved[1] > saved[2] > 1e5
    for row in rows:
        for kind in ('train', 'evaluate', 'evaluate_one'):
            assert 0 < row[kind]['min_ms'] <= row[kind]['median_ms']
        # Small maps go through other operations than oneDNN's forward.
        assert row['train']['convolution_ms'] > 0
    assert found['threads'] == 1 and found['compiled'] is False


def test_a_process_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(sys, 'executable', 'false')
    args = training.parser('', 1).parse_args(['--size', '32'])
    args.batch = args.threads = 1
    args.compiled = False
    with pytest.raises(RuntimeError, match='training_step ours .*fails'):
        training.memory('ours', args)


def results(**contenders):
    """Of ``saved_bytes`` and the minimum and median of a step."""
    return dict(
        training=dict(results=[
            dict(
                contender=name,
                saved_bytes=saved,
                train=dict(min_ms=least, median_ms=median))
            for name, (saved, least, median) in contenders.items()
        ]))


def test_ratios():
    """Ours by the twin's, and for a speed-up the other way round."""
    found = results(naive=(100, 4., 9.), ours=(25, 2., 3.))
    by_twin = training_tables.by_twin
    assert by_twin('training', 'saved_bytes')(found) == (.25, .25)
    assert by_twin('training', 'train')(found) == (1 / 2, 1 / 3)
    assert by_twin('training', 'train', speed_up=True)(found) == (2., 3.)
    with pytest.raises(KeyError):
        by_twin('training', 'train')(results(ours=(25, 2., 3.)))
