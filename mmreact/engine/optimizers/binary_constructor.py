"""Weight decay on convolution weights only."""
from typing import Dict, List

from mmengine.optim import DefaultOptimWrapperConstructor
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from ...layers import RPReLU, RSign

SHIFTS = {RSign: ('alpha', ), RPReLU: ('gamma', 'zeta')}


def split_by_decay(model: nn.Module,
                   decay_shifts: bool = False) -> Dict[str, List]:
    """Divide the trainable parameters by whether they are decayed.

    Decayed are the weights of convolutions, binary or not; with
    ``decay_shifts`` also the RSign thresholds and the RPReLU shifts, as in
    the authors' code, where their four dimensions made them look like
    convolution weights. Never decayed: linear layers, normalisation, slopes,
    biases.

    Returns:
        dict[str, list[nn.Parameter]]: Under 'decay' and 'no_decay', each
        parameter once.
    """
    decayed = set()
    for module in model.modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            decayed.add(id(module.weight))
        elif decay_shifts and type(module) in SHIFTS:
            decayed.update(
                id(getattr(module, name)) for name in SHIFTS[type(module)])
    groups: Dict[str, List] = dict(decay=[], no_decay=[])
    for parameter in model.parameters():
        if parameter.requires_grad:
            name = 'decay' if id(parameter) in decayed else 'no_decay'
            groups[name].append(parameter)
    return groups


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BinaryOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Build the optimizer with the two groups of :func:`split_by_decay`.

    The only ``paramwise_cfg`` is ``decay_shifts`` (bool). MMEngine's own
    options select parameters by name, so that e.g. ``bias_decay_mult``
    reaches whatever is called ``bias``; here the layer's type decides.
    """

    def _validate_cfg(self) -> None:
        unknown = set(self.paramwise_cfg) - {'decay_shifts'}
        if unknown:
            raise ValueError(
                f'{type(self).__name__} has no paramwise_cfg '
                f'{", ".join(sorted(unknown))}. Known: decay_shifts.')
        self.paramwise_cfg = {'decay_shifts': False, **self.paramwise_cfg}

    def add_params(self, params: List[dict], module: nn.Module,
                   **kwargs) -> None:
        """Append the groups to ``params`` (called by the base class)."""
        groups = split_by_decay(module, **self.paramwise_cfg)
        if groups['decay']:
            params.append(dict(params=groups['decay']))
        if groups['no_decay']:
            params.append(dict(params=groups['no_decay'], weight_decay=0.0))
