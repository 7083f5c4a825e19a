"""MobileNetV1 against torch's own operations and the published counts."""
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from torch import nn

from mmreact.analysis import count_ops
from mmreact.models import MobileNetV1

CONFIG = Path(__file__).resolve(
).parents[2] / 'configs/mobilenet_v1/mobilenet-v1_8xb128_in1k.py'
WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
SIZES = (112, 112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7)


class Classifier(nn.Module):

    def __init__(self, widen_factor):
        super().__init__()
        self.backbone = MobileNetV1(widen_factor)
        self.fc = nn.Linear(int(1024 * widen_factor), 1000)

    def forward(self, x):
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


@pytest.mark.parametrize('widen_factor,macs,params', [
    (1.0, 568.7e6, 4.232e6),
    (0.75, 325.4e6, 2.586e6),
    (0.5, 149.5e6, 1.332e6),
    (0.25, 41.0e6, 0.470e6),
])
def test_counts(widen_factor, macs, params):
    """From the layer table, and to the digits that are published."""
    report = count_ops(Classifier(widen_factor), (3, 224, 224))
    widths = [int(width * widen_factor) for width in WIDTHS]
    flops = 112**2 * 27 * widths[0] + widths[-1] * 1000
    for i in range(1, len(widths)):
        flops += SIZES[i]**2 * (9 * widths[i - 1] + widths[i - 1] * widths[i])
    assert (report.bops, report.flops) == (0, flops)
    assert flops == pytest.approx(macs, abs=0.05e6)
    assert report.params == pytest.approx(params, abs=0.0005e6)


def test_forward():
    """Every block is depthwise, BN, ReLU, pointwise, BN, ReLU."""
    net = MobileNetV1(0.25).double().eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator).mul_(0.5)
            if name.endswith('running_var'):
                tensor.abs_().add_(0.1)
    x = y = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(convs) == len(norms) == 27
    strides = [2] + [s for _, stride in net.blocks for s in (stride, 1)]
    for i, (conv, norm) in enumerate(zip(convs, norms)):
        depthwise = i % 2 == 1
        y = F.conv2d(
            y,
            conv.weight,
            None,
            strides[i],
            padding=0 if i and not depthwise else 1,
            groups=y.shape[1] if depthwise else 1)
        y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight,
                         norm.bias)
        y = y.clamp(min=0)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[0], y, rtol=1e-10, atol=1e-10)


def test_stages_and_gradients():
    net = MobileNetV1(0.25, in_channels=1, out_indices=range(5))
    outs = net(torch.randn(2, 1, 64, 64))
    assert [tuple(out.shape[1:]) for out in outs] == [(16, 32, 32),
                                                      (32, 16, 16), (64, 8, 8),
                                                      (128, 4, 4), (256, 2, 2)]
    outs[-1].sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize('widen_factor', [0, -1, 0.3])
def test_bad_width(widen_factor):
    with pytest.raises(ValueError, match=f'got {widen_factor}'):
        MobileNetV1(widen_factor)


def test_recipe():
    """Warm-up, cosine, and decay on the weights of conv and linear layers."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(CONFIG)
    net = nn.ModuleDict(dict(backbone=MobileNetV1(0.25), fc=nn.Linear(8, 2)))
    wrapper = build_optim_wrapper(net, cfg.optim_wrapper)
    decayed = {
        id(p)
        for group in wrapper.param_groups
        for p in group['params'] if group['weight_decay'] == 1e-4
    }
    for name, p in net.named_parameters():
        assert (id(p) in decayed) == (p.ndim > 1), name
    assert {group['weight_decay']
            for group in wrapper.param_groups} == {0, 1e-4}

    schedulers = [
        PARAM_SCHEDULERS.build(
            dict(scheduler),
            default_args=dict(optimizer=wrapper, epoch_length=10))
        for scheduler in cfg.param_scheduler
    ]
    wrapper.step()  # as torch's schedulers want it
    rates = []
    for _ in range(1200):
        rates.append(wrapper.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    assert rates[0] < 1e-3 and rates[-1] < 1e-4
    assert max(rates) == pytest.approx(0.4) == rates[50]
    middle = 50 + 1150 // 2
    assert rates[middle] == pytest.approx(0.2, rel=0.01)
