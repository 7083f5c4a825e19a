"""What all networks here share: a stem, stages, and what to do with them."""
from contextlib import contextmanager, nullcontext
from typing import Optional, Sequence, Tuple, Union

import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ...functional.transforms import is_transformed
from ..utils import check_input_size

# torch.fx wraps a name in the module that calls it, not in its own.
torch.fx.wrap('check_input_size')

DEFAULT_INIT = (dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer='_BatchNorm'))


class StagedBackbone(BaseBackbone):
    """A backbone that is ``stem`` and then ``stages``, one after the other.

    A subclass builds both and calls :meth:`finish`. Where a stage gives a
    tuple of maps, the next one gets them all and the last is the output.

    Args:
        init_cfg (dict | list, optional): Defaults to Kaiming for convolutions
            and 1 for normalisation weights.
        with_cp (bool | Sequence[int]): Stages that keep their input only and
            run a second time in backward: less memory, the same gradients
            and statistics, more time. True is all. Negative numbers count
            from the end. ``torch.compile`` does not heed it. Defaults to
            False.

    Shape:
        ``(N, in_channels, H, W)`` -> a tuple of ``(N, C_i, H_i, W_i)``, one
        for each of ``out_indices``.

    Raises:
        ValueError: In forward, for an input smaller than the product of the
            strides.
    """

    def __init__(self,
                 init_cfg: Optional[Union[dict, list]] = DEFAULT_INIT,
                 with_cp: Union[bool, Sequence[int]] = False):
        super().__init__(
            list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        self.with_cp = with_cp
        self.stem = nn.Sequential()
        self.stages = nn.ModuleList()

    def finish(self, min_size: int, out_indices: Sequence[int],
               frozen_stages: int, norm_eval: bool) -> None:
        """Set what the constructor's common arguments say.

        Args:
            min_size (int): Product of all strides.
            out_indices (Sequence[int]): Stages to return; negative ones count
                from the end.
            frozen_stages (int): Freeze the stem and this many stages; 0 is
                the stem only, -1 nothing.
            norm_eval (bool): Keep normalisation layers in eval mode while
                training.

        Raises:
            ValueError: If there is no such stage.
        """
        number = len(self.stages)
        with_cp = self.with_cp
        if isinstance(with_cp, bool):
            with_cp = range(number) if with_cp else ()
        for name, indices in dict(
                out_indices=out_indices, with_cp=with_cp).items():
            if any(not -number <= i < number for i in indices):
                raise ValueError(f'{name} must be from {-number} to '
                                 f'{number - 1}, got {tuple(indices)}.')
        if not -1 <= frozen_stages <= number:
            raise ValueError(f'frozen_stages must be from -1 to {number}, got '
                             f'{frozen_stages}.')
        self.min_size = min_size
        self.out_indices = tuple(sorted(i % number for i in out_indices))
        self.with_cp = tuple(sorted(i % number for i in with_cp))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self._freeze_stages()

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        check_input_size(x, self.min_size, type(self).__name__)
        x = self.stem(x)
        outs = []
        for i, stage in enumerate(self.stages):
            if i in self.with_cp and self.training:
                x = _run_again_in_backward(stage, x)
            else:
                x = stage(x)
            if i in self.out_indices:
                outs.append(x[-1] if isinstance(x, tuple) else x)
        return tuple(outs)

    def _freeze_stages(self):
        if self.frozen_stages < 0:
            return
        for module in [self.stem, *self.stages[:self.frozen_stages]]:
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True):
        """Set the mode; frozen stages, and norms if so asked, stay in eval."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def _run_again_in_backward(stage: nn.Module, x):
    if is_transformed() or not torch.is_grad_enabled():
        return stage(x)
    return checkpoint(
        stage,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_stay(stage)))


@contextmanager
def _statistics_stay(stage: nn.Module):
    """Batch statistics as ever, but the running ones had them already."""
    norms = {
        m: (m.momentum, m.num_batches_tracked)
        for m in stage.modules() if isinstance(m, _BatchNorm)
    }
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0, None
    try:
        yield
    finally:
        for norm, kept in norms.items():
            norm.momentum, norm.num_batches_tracked = kept
