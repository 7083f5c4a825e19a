"""torch.fx traces every backbone down to its layers."""
import pytest
import torch
from torch import fx, nn

from mmreact.models import (BiRealNet, MeliusNet, MobileNetV1, ReActNet,
                            ReActResNet)

NETWORKS = [
    (BiRealNet, dict(base_channels=8)),
    (BiRealNet, dict(depth=50, base_channels=4)),
    (BiRealNet, dict(depth=152, base_channels=4)),
    (MeliusNet, dict(arch=dict(blocks=(1, 1), widths=(8, )), growth=8)),
    (MobileNetV1, dict(widen_factor=0.25)),
    (ReActNet, dict(arch=[(8, 1), (16, 2)], stem_channels=8)),
    (ReActNet, dict(arch=[(8, 1), (16, 2)], stem_channels=8,
                    expansion='conv')),
    (ReActResNet, dict(base_channels=8)),
]


class Tracer(fx.Tracer):
    """Goes into everything but torch's layers and ours."""

    def is_leaf_module(self, module, name):
        return type(module).__module__.startswith('mmreact.layers') or \
            super().is_leaf_module(module, name)


@pytest.mark.parametrize('network,options', NETWORKS)
def test_traces_to_layers(network, options):
    net = network(**options, out_indices=(0, -1)).eval()
    graph = Tracer().trace(net)
    leaves = {node.target for node in graph.nodes if node.op == 'call_module'}
    assert leaves >= {
        name
        for name, module in net.named_modules()
        if type(module).__name__ in ('BinaryConv2d', 'RSign', 'RPReLU')
        or isinstance(module, (nn.Conv2d, nn.BatchNorm2d))
    }
    x = torch.randn(1, 3, 64, 32)
    traced = fx.GraphModule(net, graph)
    assert [torch.equal(*outs)
            for outs in zip(traced(x), net(x))] == [True] * 2
