"""Weights as after training, and those that are hard to fold."""
import pytest
import torch
from torch import nn

from mmreact.layers import LearnedScale


@pytest.fixture(scope='session')
def randomize():
    """``randomize(model)``: every fourth BN scale is negative, every seventh
    0; some latent weights and thresholds are exactly 0.
    """

    def run(model: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)

        def random(like):
            return torch.randn(like.shape, generator=generator).to(like)

        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.copy_(2 * random(module.running_mean))
                module.running_var.copy_(random(module.running_var).exp())
                if module.affine:
                    scale = random(module.weight).exp()
                    scale[::4] *= -1
                    scale[::7] = 0
                    module.weight.data = scale
                    module.bias.data = random(module.bias)
            for name in ('alpha', 'gamma', 'zeta'):
                p = getattr(module, name, None)
                if isinstance(p, nn.Parameter):
                    p.data = 0.3 * random(p) + isinstance(module, LearnedScale)
                    p.data[1::5] = 0
            if hasattr(module, 'weight_binarizer'):
                module.weight.data.flatten()[::5] = 0
        return model.eval()

    return run


@pytest.fixture(scope='session')
def images():
    """``images(number, *shape)``: normal ones with a corner of zeros."""

    def make(number: int, *shape: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(number, *shape, generator=generator)
        x[..., :shape[-2] // 2, :shape[-1] // 3] = 0
        return x

    return make
