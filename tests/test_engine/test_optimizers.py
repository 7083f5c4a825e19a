"""Which parameters decay, and mixed precision on CPUs."""
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from mmreact.engine import CPUAmpOptimWrapper
from mmreact.engine.optimizers import split_by_decay
from mmreact.layers import BinaryConv2d, BinaryLinear, RPReLU, RSign


def make_model():
    torch.manual_seed(0)
    shared = BinaryConv2d(4, 4, 1)
    return nn.ModuleDict(
        dict(
            stem=nn.Conv2d(3, 4, 3, padding=1),
            bn=nn.BatchNorm2d(4),
            sign=RSign(4),
            plain_sign=RSign(4, learnable=False),
            conv=BinaryConv2d(4, 4, 3, padding=1, bias=True),
            act=RPReLU(4),
            first=shared,
            again=shared,
            up=nn.ConvTranspose2d(4, 4, 2),
            prelu=nn.PReLU(4),
            ln=nn.LayerNorm(4),
            block=nn.Sequential(RSign(4), BinaryConv2d(4, 4, 1), RPReLU(4)),
            binary_fc=BinaryLinear(4, 4, bias=True),
            fc=nn.Linear(4, 2)))


WEIGHTS = {
    'stem.weight', 'conv.weight', 'first.weight', 'up.weight', 'block.1.weight'
}
SHIFTS = {
    'sign.alpha', 'act.gamma', 'act.zeta', 'block.0.alpha', 'block.2.gamma',
    'block.2.zeta'
}
OTHERS = {
    'stem.bias', 'bn.weight', 'bn.bias', 'conv.bias', 'act.beta', 'up.bias',
    'prelu.weight', 'ln.weight', 'ln.bias', 'block.2.beta', 'binary_fc.weight',
    'binary_fc.bias', 'fc.weight', 'fc.bias'
}
EXPECTED = {False: WEIGHTS, True: WEIGHTS | SHIFTS}


def names_of(model, parameters):
    names = {id(p): name for name, p in model.named_parameters()}
    return [names[id(p)] for p in parameters]


def build(model, lr=0.5, weight_decay=0.1, **kwargs):
    cfg = dict(
        optimizer=dict(type='SGD', lr=lr, weight_decay=weight_decay),
        constructor='BinaryOptimWrapperConstructor')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return build_optim_wrapper(model, {**cfg, **kwargs})


@pytest.mark.parametrize('decay_shifts', EXPECTED)
def test_groups(decay_shifts):
    model = make_model()
    groups = split_by_decay(model, decay_shifts)
    decay, rest = (names_of(model, groups[g]) for g in ('decay', 'no_decay'))
    assert set(decay) == EXPECTED[decay_shifts]
    assert set(rest) == (WEIGHTS | SHIFTS | OTHERS) - EXPECTED[decay_shifts]
    # Each parameter of the model once.
    every = [name for name, _ in model.named_parameters()]
    assert sorted(decay + rest) == sorted(every)


@pytest.mark.parametrize('frozen', ['stem', 'block', 'fc', 'first'])
def test_frozen_parameters_are_left_out(frozen):
    model = make_model()
    model[frozen].requires_grad_(False)
    groups = build(model).optimizer.param_groups
    left = [n for group in groups for n in names_of(model, group['params'])]
    assert sorted(left) == sorted(name for name, p in model.named_parameters()
                                  if p.requires_grad)
    assert not any(name.startswith(frozen + '.') for name in left)


@pytest.mark.parametrize('module,decays', [
    (BinaryConv2d(2, 2, 1), [0.1]),
    (nn.Linear(2, 2), [0.0]),
    (nn.Conv2d(2, 2, 1), [0.1, 0.0]),
])
def test_no_empty_groups(module, decays):
    groups = build(module).optimizer.param_groups
    assert [group['weight_decay'] for group in groups] == decays


@pytest.mark.parametrize('paramwise_cfg,decayed', [
    ({}, WEIGHTS),
    (dict(paramwise_cfg=None), WEIGHTS),
    (dict(paramwise_cfg=dict(decay_shifts=False)), WEIGHTS),
    (dict(paramwise_cfg=dict(decay_shifts=True)), WEIGHTS | SHIFTS),
])
def test_step_without_a_gradient(paramwise_cfg, decayed):
    """SGD: what decays shrinks by lr * weight_decay, the rest stays."""
    model = make_model()
    for parameter in model.parameters():
        parameter.data.uniform_(1, 2)
        parameter.grad = torch.zeros_like(parameter)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    build(model, **paramwise_cfg).step()
    for name, p in model.named_parameters():
        factor = 0.95 if name in decayed else 1.
        torch.testing.assert_close(p.detach(), factor * before[name])


@pytest.mark.parametrize('unknown', ['bias_decay_mult', 'custom_keys'])
def test_unknown_option(unknown):
    with pytest.raises(ValueError) as error:
        build(make_model(), paramwise_cfg={unknown: 0, 'decay_shifts': True})
    assert unknown in str(error.value) and 'decay_shifts' in str(error.value)


KEYS = {
    'none': ({}, {}),
    'a learning rate': (dict(block=dict(lr_mult=.1)), dict(block=(.05, .1))),
    'no decay': (dict(block=dict(decay_mult=0.)), dict(block=(.5, 0.))),
    'both':
    (dict(block=dict(lr_mult=2., decay_mult=3.)), dict(block=(1., .3))),
    'frozen by 0': (dict(stem=dict(lr_mult=0.)), dict(stem=(0., .1))),
    'the longer key first': ({
        'block.1': dict(lr_mult=.1),
        'block': dict(lr_mult=2.)
    }, {
        'block.1': (.05, .1),
        'block': (1., .1)
    }),
    'a part of a name':
    (dict(weight=dict(lr_mult=.1)), dict(weight=(.05, .1))),
    'other settings': (dict(conv=dict(momentum=.5)), dict(conv=(.5, .1))),
}


@pytest.mark.parametrize('decay_shifts', [False, True])
@pytest.mark.parametrize('case', KEYS)
def test_custom_keys(case, decay_shifts):
    """Factors of the decay that the type gives, which may be 0."""
    custom_keys, expected = KEYS[case]
    model = make_model()
    groups = build(
        model,
        paramwise_cfg=dict(custom_keys=custom_keys,
                           decay_shifts=decay_shifts)).optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    seen = []
    for group in groups:
        assert group['params']
        for parameter in group['params']:
            name = names[id(parameter)]
            key = next((k for k in expected if k in name), None)
            lr, decay = expected.get(key, (.5, .1))
            if name not in EXPECTED[decay_shifts]:
                decay = 0.
            assert group['lr'] == pytest.approx(lr), name
            assert group['weight_decay'] == pytest.approx(decay), name
            assert group['momentum'] == (.5 if key == 'conv' else 0), name
            seen.append(name)
    assert sorted(seen) == sorted(names.values())


@pytest.mark.parametrize('custom_keys, kwargs, message', [
    (dict(bolck=dict(lr_mult=.1)), {}, 'names bolck.*of no parameter'),
    (dict(block=.1), {}, 'a dict of dicts'),
    (dict(block=dict(lr_mult=.1)), dict(lr=None), 'lr_mult of block'),
    (dict(block=dict(decay_mult=.1)), dict(weight_decay=None), 'base_wd'),
])
def test_custom_keys_that_cannot_work(custom_keys, kwargs, message):
    optimizer = dict(type='SGD', lr=.5, weight_decay=.1) | kwargs
    optimizer = {k: v for k, v in optimizer.items() if v is not None}
    with pytest.raises(ValueError, match=message):
        build(
            make_model(),
            optimizer=optimizer,
            paramwise_cfg=dict(custom_keys=custom_keys))


def test_config_is_not_changed():
    paramwise_cfg = {}
    build(make_model(), paramwise_cfg=paramwise_cfg)
    assert paramwise_cfg == {}


def test_cpu_amp():
    model = make_model()
    net = nn.Sequential(model['stem'], model['bn'], model['sign'],
                        model['conv'], model['act'])
    seen = {}
    for name in ('stem', 'conv'):
        model[name].register_forward_hook(
            lambda module, x, y, name=name: seen.update({name: y.dtype}))
    x = torch.randn(2, 3, 8, 8)
    reference = net(x)
    assert set(seen.values()) == {torch.float32}
    wrapper = build(net, type='CPUAmpOptimWrapper')
    assert isinstance(wrapper, CPUAmpOptimWrapper)
    before = [p.detach().clone() for p in net.parameters()]
    with wrapper.optim_context(net):
        y = net(x)
    assert seen == dict(stem=torch.bfloat16, conv=torch.bfloat16)
    # 8 bits of mantissa and a few flipped signs, but the same function.
    assert (y - reference).abs().mean() < 0.2 * reference.abs().mean()
    wrapper.update_params(y.float().square().mean())
    assert not torch.is_autocast_enabled('cpu')
    for old, parameter in zip(before, net.parameters()):
        assert parameter.dtype == torch.float32
        assert parameter.isfinite().all()
        assert not torch.equal(old, parameter)


def test_cpu_amp_accumulates():
    """The context is MMEngine's: gradients are summed over two steps."""
    layer = nn.Linear(1, 1, bias=False)
    wrapper = CPUAmpOptimWrapper(
        torch.optim.SGD(layer.parameters(), lr=1.), accumulative_counts=2)
    start = layer.weight.item()
    for step, moved in enumerate([0, -1]):
        with wrapper.optim_context(layer):
            loss = layer(torch.ones(1, 1)).sum()
        wrapper.update_params(loss)
        assert layer.weight.item() == pytest.approx(start + moved)
