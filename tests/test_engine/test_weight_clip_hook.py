"""Clipping by hand, and in a Runner against a plain loop."""
from itertools import count

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from mmreact.engine import WeightClipHook
from mmreact.engine.hooks.weight_clip_hook import clip_weights
from mmreact.layers import BinaryConv2d, BinaryLinear, RSign

NUMBER = count()


def layer(values, **kwargs):
    """A 1-bit layer with these latent weights, rows are filters."""
    weight = torch.tensor(values)
    if kwargs.pop('linear', False):
        made = BinaryLinear(*weight.shape[::-1], **kwargs)
    else:
        weight = weight[..., None, None]
        made = BinaryConv2d(*weight.shape[1::-1], 1, **kwargs)
    made.weight.data = weight
    return made


# limit, centre, weights before, weights after
CASES = [
    (1., False, [[2., 1, -1, -7], [0.5, 0, -0.5, 0.25]], [[1., 1, -1, -1],
                                                          [0.5, 0, -0.5,
                                                           0.25]]),
    (0.25, False, [[2., 0.25, -0.25, 0.125]], [[0.25, 0.25, -0.25, 0.125]]),
    # Means 1 and 0.25.
    (1., True, [[3., 1, 1, -1], [0.5, 0, 0.5, 0]], [[1., 0, 0, -1],
                                                    [0.25, -0.25, 0.25,
                                                     -0.25]]),
    (2., True, [[3., 1, 1, -1]], [[2., 0, 0, -2]]),
]


@pytest.mark.parametrize('limit,centre,before,after', CASES)
@pytest.mark.parametrize('linear', [False, True])
@pytest.mark.parametrize('name', ['sign', 'scaled_sign', 'xnor_sign'])
def test_values(limit, centre, before, after, linear, name):
    net = nn.Sequential(layer(before, linear=linear, weight_binarizer=name))
    clip_weights(net, limit, centre)
    assert net[0].weight.flatten(1).tolist() == after


def test_centre_is_over_channels_not_taps():
    conv = BinaryConv2d(2, 1, (1, 2))
    conv.weight.data = torch.tensor([[[[0.5, 0.25]], [[0., -0.25]]]])
    clip_weights(conv, centre=True)
    assert conv.weight.flatten().tolist() == [0.25, 0.25, -0.25, -0.25]


@pytest.mark.parametrize('other', [
    nn.Conv2d(2, 2, 1),
    nn.Linear(2, 2),
    nn.BatchNorm2d(2),
    BinaryConv2d(2, 2, 1, weight_binarizer='real', bias=True),
    BinaryLinear(2, 2, weight_binarizer='real'),
])
def test_others_are_left(other):
    for parameter in other.parameters():
        parameter.data.fill_(3)
    biased = BinaryConv2d(2, 2, 1, bias=True)
    biased.bias.data.fill_(3)
    clip_weights(nn.Sequential(other, biased), centre=True)
    for parameter in [*other.parameters(), biased.bias]:
        assert (parameter == 3).all()


class Net(BaseModel):
    """Two 1-bit layers and a real one; the loss drives them apart."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 1), RSign(4, 'clip', False),
            BinaryConv2d(4, 4, 1, weight_binarizer='xnor_sign'),
            nn.BatchNorm2d(4), nn.Flatten(), BinaryLinear(16, 3))
        for module in self.modules():
            if getattr(module, 'one_bit_weight', False):
                module.weight.data.mul_(3)

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


def make_runner(folder, hooks, epochs=3, accumulate=1, **kwargs):
    return Runner(
        model=Net(),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=batches(),
            batch_size=4,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.5),
            accumulative_counts=accumulate),
        custom_hooks=hooks,
        experiment_name=f'test_weight_clip_{next(NUMBER)}',
        default_scope='mmpretrain',
        log_level='ERROR',
        **kwargs)


def clip_by_hand(net, centre):
    for weight in (net[2].weight.data, net[5].weight.data):
        if centre:
            weight -= weight.mean(1, keepdim=True)
        weight[weight > 1] = 1
        weight[weight < -1] = -1


@pytest.mark.parametrize('centre', [False, True])
@pytest.mark.parametrize('accumulate', [1, 2])
def test_training(tmp_path, centre, accumulate):
    """A Runner does what a loop does that clips after each step."""
    hook = dict(type='WeightClipHook', centre=centre)
    runner = make_runner(tmp_path, [hook], accumulate=accumulate)
    runner.train()
    net = Net().net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    clip_by_hand(net, centre)
    data = torch.utils.data.default_collate(batches())
    moved = 0
    for i in range(9):
        rows = slice(i % 3 * 4, i % 3 * 4 + 4)
        logits = net(data['inputs'][rows])
        loss = nn.functional.cross_entropy(logits, data['target'][rows])
        # The last step has one batch left where two do not divide nine.
        (30 * loss / (1 if i == 8 else accumulate)).backward()
        if i == 8 or i % accumulate == accumulate - 1:
            optimizer.step()
            optimizer.zero_grad()
            moved += (net[5].weight.abs() > 1).any().item()
            clip_by_hand(net, centre)
    assert moved > 1  # there was something to clip
    for key, value in net.state_dict().items():
        torch.testing.assert_close(runner.model.net.state_dict()[key], value)


@pytest.mark.parametrize('centre', [False, True])
def test_resumed_run_is_the_whole_one(tmp_path, centre):
    """Centred twice, weights that were clamped in between would differ."""
    hook = dict(type='WeightClipHook', centre=centre)
    whole = make_runner(tmp_path / 'whole', [hook])
    whole.train()
    make_runner(tmp_path / 'parts', [hook], epochs=1).train()
    state = torch.load(
        tmp_path / 'parts' / 'epoch_1.pth', weights_only=True)['state_dict']
    if centre:
        assert state['net.5.weight'].mean(1).abs().max() > 1e-3
    rest = make_runner(tmp_path / 'parts', [hook], resume=True)
    rest.train()
    for key, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[key], value), key


def test_weights_from_elsewhere_are_clipped_first(tmp_path):
    """What load_from brings is clipped before the first forward."""

    class Look(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.largest = runner.model.net[5].weight.abs().max().item()
            runner.train_loop.stop_training = True

    state = {key: 9 * v for key, v in Net().state_dict().items()}
    torch.save(state, tmp_path / 'start.pth')
    look = Look()
    runner = make_runner(
        tmp_path, [WeightClipHook(0.5), look],
        epochs=1,
        load_from=str(tmp_path / 'start.pth'))
    runner.load_or_resume()
    assert runner.model.net[5].weight.abs().max() > 1
    runner.train()
    assert look.largest == 0.5


@pytest.mark.parametrize('first', [True, False])
def test_averages_are_of_clipped_weights(tmp_path, first):
    """In whatever order the config lists the hooks."""
    seen = []

    class Look(Hook):
        priority = 'LOW'

        def after_train_iter(self, runner, batch_idx, **kwargs):
            seen.append(runner.model.net[5].weight.detach().clone())

    ema = EMAHook(momentum=0.25)
    hooks = [WeightClipHook(0.5), ema] if first else [ema, WeightClipHook(0.5)]
    make_runner(tmp_path, [*hooks, Look()], epochs=1).train()
    average = seen[0]
    for weight in seen[1:]:
        average = 0.75 * average + 0.25 * weight
    assert all(weight.abs().max() == 0.5 for weight in seen)
    assert len(seen) == 3 and not torch.equal(seen[0], seen[2])
    torch.testing.assert_close(ema.ema_model.module.net[5].weight.detach(),
                               average)


def test_wrapped_model():
    """A wrapper's layers are found; no process group is needed."""
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = nn.Sequential(layer([[2., -2.]]))
    clip_weights(wrapper)
    assert wrapper.module[0].weight.flatten().tolist() == [1, -1]


@pytest.mark.parametrize('limit', [0, -1., float('nan')])
def test_bad_limit(limit):
    with pytest.raises(ValueError, match=f'limit must be positive.*{limit}'):
        WeightClipHook(limit)


def test_nothing_left_to_centre(tmp_path):
    runner = make_runner(tmp_path, [WeightClipHook(centre=True)])
    runner.model.net[2] = BinaryConv2d(4, 4, 1, groups=4)
    with pytest.raises(ValueError, match='net.2 has one input channel'):
        runner.train()
