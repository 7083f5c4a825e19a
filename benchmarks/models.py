"""The networks that are timed, with random weights."""
import copy
from functools import cached_property
from pathlib import Path
from typing import Sequence

import numpy as np
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

import mmreact.models  # noqa: F401, registers
from mmreact.analysis import count_ops
from mmreact.export import lower
from mmreact.functional import get_weight_binarizer
from mmreact.layers import BinaryConv2d, BinaryLinear, RPReLU, RSign
from mmreact.packed import Program

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'

#: Name -> config, or a function of torchvision.models.
NETWORKS = {
    'ReActNet-A': 'reactnet/reactnet-a_8xb32_in1k.py',
    'ReActNet-B': 'reactnet/reactnet-b_8xb32_in1k.py',
    'ReActNet-C': 'reactnet/reactnet-c_8xb32_in1k.py',
    'ReAct-ResNet-18': 'reactnet/react-resnet18_8xb64_in1k.py',
    'Bi-Real-18': 'bireal/bireal-resnet18_8xb64_in1k.py',
    'MobileNetV1 1.0': 'mobilenet_v1/mobilenet-v1_8xb128_in1k.py',
    'MobileNetV2': 'mobilenet_v2',
    'ResNet-18': 'resnet18',
}


class Network:
    """A network and the forms that engines take it in, each made once.

    Args:
        name (str): A key of :data:`NETWORKS`.
        shape (Sequence[int]): ``(C, H, W)`` of an image.
    """

    def __init__(self, name: str, shape: Sequence[int] = (3, 224, 224)):
        self.name = name
        self.source = NETWORKS[name]
        self.shape = tuple(shape)

    @cached_property
    def model(self) -> nn.Module:
        """In eval mode; the same weights each time."""
        torch.manual_seed(0)
        if self.source.endswith('.py'):
            init_default_scope('mmpretrain')
            config = Config.fromfile(CONFIGS / self.source)
            model = MODELS.build(config.model)
        else:
            import torchvision
            model = getattr(torchvision.models, self.source)()
        return randomize(model, torch.from_numpy(self.images(8, seed=1)))

    @cached_property
    def constant_model(self) -> nn.Module:
        """The model with its binarized weights put in place of the latent
        ones, so that no call binarizes them.
        """
        model = copy.deepcopy(self.model)
        for layer in model.modules():
            if isinstance(layer, (BinaryConv2d, BinaryLinear)):
                row = get_weight_binarizer(layer.weight_binarizer)
                layer.weight.data = row.function(layer.weight.data)
                layer.weight_binarizer = 'real'
        return model

    @cached_property
    def program(self) -> Program:
        return lower(self.model, self.shape)

    @cached_property
    def onnx(self) -> bytes:
        """In real numbers, BN folded."""
        from mmreact.packed.onnx import build_onnx
        program = self.program
        return build_onnx(program, [program.output]).SerializeToString()

    def images(self, number: int, seed: int = 0) -> np.ndarray:
        """Images at random, as if normalised: ``(N, C, H, W)`` float32."""
        rng = np.random.default_rng(seed)
        return rng.normal(size=(number, *self.shape)).astype(np.float32)

    def run(self, x: np.ndarray) -> np.ndarray:
        """What PyTorch computes, in real numbers."""
        with torch.inference_mode():
            return self.model(torch.from_numpy(x)).numpy()

    def facts(self) -> dict:
        """What it costs, counted, and its published accuracy."""
        report = count_ops(self.model, self.shape)
        return dict(
            bops=report.bops, flops=report.flops, top1=published_top1(self))


def randomize(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Draw shifts and slopes, and take BN's statistics from the images.

    With these values stay at their natural size through all layers: neither
    infinite nor so small that processors slow down. (Latent weights are drawn
    by the layers.)
    """
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, RSign) and layer.alpha is not None:
                layer.alpha.normal_(0, 0.1)
            if isinstance(layer, RPReLU):
                layer.gamma.normal_(0, 0.1)
                layer.zeta.normal_(0, 0.1)
                layer.beta.uniform_(0, 0.5)
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.reset_running_stats()
                layer.momentum = None
        model.train()
        model(images)
    return model.eval()


def published_top1(network: Network) -> float:
    """Top-1 on ImageNet-1k in per cent, as its authors printed it; of
    torchvision's networks, that of the weights that torchvision offers.
    """
    if not network.source.endswith('.py'):
        import torchvision
        weights = torchvision.models.get_model_weights(network.source)
        return weights.IMAGENET1K_V1.meta['_metrics']['ImageNet-1K']['acc@1']
    path = CONFIGS / network.source
    metafile = yaml.safe_load((path.parent / 'metafile.yml').read_text())
    for model in metafile['Models']:
        if model['Name'] == path.stem and model['Results']:
            return model['Results'][0]['Metrics']['Top 1 Accuracy']
