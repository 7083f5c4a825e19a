"""What all networks here share: a stem, stages, and what to do with them."""
from typing import Optional, Sequence, Tuple, Union

import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from ..utils import check_input_size

# torch.fx wraps a name in the module that calls it, not in its own.
torch.fx.wrap('check_input_size')


class StagedBackbone(BaseBackbone):
    """A backbone that is ``stem`` and then ``stages``, one after the other.

    A subclass builds both and calls :meth:`finish`. Where a stage gives a
    tuple of maps, the next one gets them all and the last is the output.

    Shape:
        ``(N, in_channels, H, W)`` -> a tuple of ``(N, C_i, H_i, W_i)``, one
        for each of ``out_indices``.

    Raises:
        ValueError: In forward, for an input smaller than the product of the
            strides.
    """

    def __init__(
        self,
        init_cfg: Optional[Union[dict, list]] = (dict(
            type='Kaiming',
            layer='Conv2d'), dict(type='Constant', val=1,
                                  layer='_BatchNorm'))):
        super().__init__(
            list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
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
        if any(not -number <= i < number for i in out_indices):
            raise ValueError(f'out_indices must be from {-number} to '
                             f'{number - 1}, got {tuple(out_indices)}.')
        if not -1 <= frozen_stages <= number:
            raise ValueError(f'frozen_stages must be from -1 to {number}, got '
                             f'{frozen_stages}.')
        self.min_size = min_size
        self.out_indices = tuple(sorted(i % number for i in out_indices))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self._freeze_stages()

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        check_input_size(x, self.min_size, type(self).__name__)
        x = self.stem(x)
        outs = []
        for i, stage in enumerate(self.stages):
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
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self
