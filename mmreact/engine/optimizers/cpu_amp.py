"""Automatic mixed precision on CPUs."""
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Forward in bfloat16 where autocast allows it; no loss scaling.

    MMEngine's AmpOptimWrapper refuses CPUs. Remove when it accepts them.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        with super().optim_context(model), torch.autocast(
                'cpu', torch.bfloat16):
            yield
