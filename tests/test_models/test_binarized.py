"""BinarizedBackbone: mmreact.binarize from a config."""
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmreact.layers import BinaryConv2d
from mmreact.models import BinarizedBackbone

RESNET = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def test_is_the_backbone_binarized():
    net = BinarizedBackbone(
        dict(RESNET, out_indices=(0, 3), frozen_stages=1),
        exclude=['*.downsample.*']).train()
    outs = net(torch.randn(2, 3, 64, 64))
    assert [tuple(out.shape) for out in outs] == [(2, 8, 16, 16),
                                                  (2, 64, 2, 2)]
    one_bit = [m for m in net.modules() if isinstance(m, BinaryConv2d)]
    assert len(one_bit) == len(net.report.binarized) == 16
    # Its frozen stages stay frozen, with their new thresholds.
    assert not any(p.requires_grad for p in net.net.layer1.parameters())
    assert not net.net.bn1.training and net.net.layer2[0].bn1.training


def test_pretrained_weights_become_latent_weights(tmp_path):
    torch.manual_seed(0)
    real = MODELS.build(RESNET)
    torch.save(real.state_dict(), tmp_path / 'real.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'real.pth'))
    net = BinarizedBackbone(dict(RESNET, init_cfg=init))
    net.init_weights()
    latent = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    weights = [m.weight for m in real.modules() if isinstance(m, nn.Conv2d)]
    assert len(latent) == len(weights) == 20
    for ours, theirs in zip(latent, weights):
        assert torch.equal(ours, theirs)


def test_a_config_is_left_as_it_is():
    config = dict(RESNET)
    BinarizedBackbone(config)
    assert config == RESNET
