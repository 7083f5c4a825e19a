"""Keep the latent weights of 1-bit layers small."""
from typing import Dict

import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch import Tensor, nn


def latent_weights(model: nn.Module) -> Dict[str, Tensor]:
    """The latent weights of all 1-bit layers, by the layer's name."""
    return {
        name: module.weight
        for name, module in model.named_modules()
        if getattr(module, 'one_bit_weight', False)
    }


@torch.no_grad()
def clip_weights(model: nn.Module,
                 limit: float = 1.0,
                 centre: bool = False) -> None:
    """Clamp the latent weights of 1-bit layers, in place.

    ``W <- clamp(W, -limit, limit)``; with ``centre`` first
    ``W <- W - mean(W)`` over the input channels (dimension 1).
    """
    for weight in latent_weights(model).values():
        if centre:
            weight.sub_(weight.mean(1, keepdim=True))
        weight.clamp_(-limit, limit)


@HOOKS.register_module()
class WeightClipHook(Hook):
    """Clip the latent weights of 1-bit layers after each optimizer step.

    A latent weight beyond the threshold of its pseudo-gradient gets next to
    no gradient and could hardly come back. BNN (Hubara et al., NIPS 2016)
    clips to ±1; XNOR-Net (ECCV 2016; the authors' code, not the paper) first
    subtracts the mean over the input channels. Both act before each forward
    pass, so here: once before the first iteration, then after each step. A
    resumed run goes on from weights that were clipped before they were saved.

    Nothing is done to real-valued layers, and nothing at all in a stage whose
    weights are real. In distributed training all processes do the same to
    equal weights. An EMAHook averages the clipped weights.

    Args:
        limit (float): Defaults to 1.0.
        centre (bool): Subtract the mean over the input channels before.
            Defaults to False.

    Raises:
        ValueError: If the limit is not positive, or, before training, if a
            layer to be centred has a single input channel, which would leave
            nothing of it.
    """

    # Before EMAHook, wherever the config lists it.
    priority = 'ABOVE_NORMAL'

    def __init__(self, limit: float = 1.0, centre: bool = False):
        if not limit > 0:
            raise ValueError(f'limit must be positive, got {limit}.')
        self.limit = limit
        self.centre = centre

    def before_train(self, runner) -> None:
        if self.centre:
            for name, weight in latent_weights(runner.model).items():
                if weight.shape[1] == 1:
                    raise ValueError(
                        f'{name} has one input channel (per group): centred '
                        'over it, all its weights are 0. Use '
                        f'{type(self).__name__}(centre=False).')
        if runner.iter == 0:
            clip_weights(runner.model, self.limit, self.centre)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        # Not between two steps: centred again, clamped weights would move.
        if runner.optim_wrapper.should_update():
            clip_weights(runner.model, self.limit, self.centre)
