"""BNext against units written out from its formula, and its counts."""
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmreact.analysis import count_ops
from mmreact.layers import ChannelMix
from mmreact.models import BNext
from mmreact.models.backbones.bnext import BNextBlock, BNextUnit

CONFIG = Path(
    __file__).resolve().parents[2] / 'configs/bnext/bnext-tiny_8xb64_in1k.py'
SMALL = dict(arch=[(8, 1), (16, 2), (16, 1), (32, 2)], stem_channels=8)


def randomize(module):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
            if name.endswith('running_var') or name.endswith('mix.scale'):
                tensor.abs_().clamp_(0.1, 0.9)
    return module


def bn(x, p, name):
    """Batch normalisation in eval mode, written out."""
    mean, var, weight, bias = (
        p[f'{name}.{key}'].view(-1, 1, 1)
        for key in ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def prelu(x, slope):
    return torch.where(x > 0, x, slope.view(-1, 1, 1) * x)


def mean_of_four(x):
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] +
            x[..., 1::2, 1::2]) / 4


def one_bit(x):
    return (x > 0).double() * 2 - 1


def reference_unit(x, p, kernel, stride, attention, recoupling):
    y = one_bit(x - p['sign.alpha'].view(-1, 1, 1))
    y = F.conv2d(y, one_bit(p['conv.weight']), None, stride, kernel // 2)
    y = prelu(bn(y, p, 'bn1'), p['act.weight'])
    pooled = mean_of_four(x) if stride == 2 else x
    if recoupling:
        s = p['mix.scale'].view(-1, 1, 1)
        u = (s * pooled + (1 - s) * y).mean((2, 3))
        u = u @ p['gate.reduce.weight'][..., 0, 0].T + p['gate.reduce.bias']
        u = u.clamp(min=0)
        u = u @ p['gate.expand.weight'][..., 0, 0].T + p['gate.expand.bias']
        y = y / (1 + (-u).exp())[..., None, None]
    if attention:
        z = prelu(x, p['shortcut_act.weight'])
        z = mean_of_four(z) if stride == 2 else z
        return bn(y * z, p, 'bn2') + z
    return (bn(y, p, 'bn2') if recoupling else y) + pooled


@pytest.mark.parametrize('attention', [False, True])
@pytest.mark.parametrize('recoupling', [False, True])
@pytest.mark.parametrize('kernel,stride', [(3, 1), (3, 2), (1, 1)])
def test_unit(kernel, stride, attention, recoupling):
    unit = BNextUnit(8, kernel, stride, attention, recoupling)
    p = randomize(unit.double().eval()).state_dict()
    x = torch.randn(2, 8, 6, 4, dtype=torch.float64)
    x[0, 0] = p['sign.alpha'][0]  # on the threshold
    with torch.no_grad():
        ours = unit(x)
    expected = reference_unit(x, p, kernel, stride, attention, recoupling)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('width,stride,attention', [(8, 1, False),
                                                    (16, 2, True)])
def test_block(width, stride, attention):
    """One 1x1 unit keeps the channels, two double them, each on its own."""
    block = BNextBlock(8, width, stride, attention)
    p = randomize(block.double().eval()).state_dict()

    def unit(x, name, *options):
        own = {
            key[len(name) + 1:]: value
            for key, value in p.items() if key.startswith(f'{name}.')
        }
        return reference_unit(x, own, *options, True)

    x = torch.randn(2, 8, 4, 6, dtype=torch.float64)
    a = unit(x, 'unit3x3', 3, stride, attention)
    expected = torch.cat(
        [unit(a, f'units1x1.{k}', 1, 1, False) for k in range(width // 8)], 1)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


class Classifier(nn.Module):

    def __init__(self):
        super().__init__()
        self.backbone = BNext()
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x):
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def test_counts():
    """ReActNet-A's operations, and two products a gate."""
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    sizes = [112, 112, 56, 56, 28, 28, *[14] * 6, 7, 7]
    bops, flops = 0, 112**2 * 27 * 32 + 1024 * 1000
    params = 27 * 32 + 2 * 32 + 1024 + 1024 * 1000 + 1000
    for i in range(1, len(widths)):
        c, units = widths[i - 1], widths[i] // widths[i - 1]
        gate = 2 * c * c // 8
        bops += sizes[i]**2 * c * c * (9 + units)
        flops += gate * (1 + units)
        # alpha, BN, PReLU, mix, BN; the gate; the PReLU of attention
        params += c * c * (9 + units) + (1 + units) * (7 * c + gate + c // 8 +
                                                       c) + c * (
                                                           i % 2 == 0)
    report = count_ops(Classifier(), (3, 224, 224))
    assert (report.bops, report.flops, report.params) == (bops, flops, params)
    assert bops == 4_816_896_000  # as ReActNet-A
    assert report.ops == pytest.approx(0.89e8, abs=0.005e8)  # as printed


def test_which_blocks_attend():
    for attention in (True, False):
        blocks = [
            block for stage in BNext(attention=attention).stages
            for block in stage if isinstance(block, BNextBlock)
        ]
        assert [b.unit3x3.attention for b in blocks
                ] == [attention and i % 2 == 1 for i in range(13)]
        assert not any(u.attention for b in blocks for u in b.units1x1)


def test_mix_stays_between_its_inputs():
    """Clamped in training, before it is used; its gradient is kept."""
    mix = ChannelMix(3).double()
    mix.scale.data = torch.tensor([-0.5, 0.25, 2]).double()
    a, b = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64)
    y = mix(a, b)
    torch.testing.assert_close(y[:, 0], b[:, 0])
    torch.testing.assert_close(y[:, 2], a[:, 2])
    torch.testing.assert_close(y[:, 1], (a[:, 1] + 3 * b[:, 1]) / 4)
    y.sum().backward()
    torch.testing.assert_close(mix.scale.grad, (a - b).sum((0, 2, 3)))
    assert mix.scale.tolist() == [0, 0.25, 1]
    mix.eval().scale.data[0] = -1  # left alone when it is not trained
    mix(a, b)
    assert mix.scale[0] == -1


def test_gradient_of_the_sign_is_clipped_at_1_5():
    sign = BNext(**SMALL, rsign=False).stages[0][0].unit3x3.sign
    x = torch.tensor([-1.51, -1.5, 0., 1.5, 1.51]).requires_grad_()
    sign(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize('options,words', [
    (dict(arch='huge'), ["Unknown arch 'huge'", "'tiny'"]),
    (dict(arch=[(12, 1)]), ['Block 0', '12', '8', '16']),
    (dict(arch=[(8, 3)]), ['stride 1 or 2']),
    (dict(stem_channels=None), ['needs stem_channels']),
    (dict(arch=[(12, 1)], stem_channels=12), ['divide', '8 and 12']),
    (dict(estimator='x'), ['estimator', 'clip']),
    (dict(weight_binarizer='x'), ['weight binarizer', 'sign']),
])
def test_wrong_options(options, words):
    with pytest.raises(ValueError) as error:
        BNext(**{**SMALL, **options})
    for word in words:
        assert word in str(error.value)


def test_too_small_input():
    net = BNext(**SMALL).eval()
    assert net(torch.zeros(1, 3, 8, 8))[0].shape == (1, 32, 1, 1)
    with pytest.raises(ValueError, match='BNext divides.*by 8'):
        net(torch.zeros(1, 3, 8, 7))


def test_weight_decay_of_the_recipe():
    """As in the authors' code, where what has four dimensions is free."""
    init_default_scope('mmpretrain')
    net = nn.ModuleDict(dict(backbone=BNext(**SMALL), fc=nn.Linear(32, 4)))
    wrapper = build_optim_wrapper(net, Config.fromfile(CONFIG).optim_wrapper)
    decay = {
        id(p): group['weight_decay']
        for group in wrapper.param_groups
        for p in group['params']
    }
    for name, p in net.named_parameters():
        free = p.ndim == 4 or name.endswith(('sign.alpha', 'mix.scale'))
        assert decay[id(p)] == pytest.approx(1e-8 if free else 1e-3), name
