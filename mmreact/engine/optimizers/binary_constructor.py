"""Weight decay on convolution weights only."""
from typing import Dict, List, Optional

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

    Keys of ``paramwise_cfg``:

    - ``decay_shifts`` (bool): See :func:`split_by_decay`.
    - ``custom_keys`` (dict[str, dict]): As MMEngine's. Settings of the
      parameters whose name contains the key, the longest one first: factors
      ``lr_mult`` and ``decay_mult``, and anything else that the optimizer
      knows. The decay that is multiplied is the one by type, so that it
      stays 0 where that is 0.

    MMEngine's other options select parameters by name, so that e.g.
    ``bias_decay_mult`` reaches whatever is called ``bias``; here the layer's
    type decides.

    Raises:
        ValueError: If there are other keys, no parameter has such a name, or
            there is nothing to multiply.
    """

    def _validate_cfg(self) -> None:
        known = dict(decay_shifts=False, custom_keys={})
        unknown = set(self.paramwise_cfg) - set(known)
        keys = self.paramwise_cfg.get('custom_keys', {})
        if unknown or not isinstance(keys, dict) or not all(
                isinstance(settings, dict) for settings in keys.values()):
            raise ValueError(
                f'paramwise_cfg of {type(self).__name__} takes decay_shifts '
                '(bool) and custom_keys (a dict of dicts), got '
                f'{dict(self.paramwise_cfg)}.')
        super()._validate_cfg()
        self.paramwise_cfg = {**known, **self.paramwise_cfg}

    def add_params(self, params: List[dict], module: nn.Module,
                   **kwargs) -> None:
        """Append the groups to ``params`` (called by the base class)."""
        keys = self._keys_of_parameters(module)
        for name, parameters in split_by_decay(
                module, self.paramwise_cfg['decay_shifts']).items():
            base_decay = self.base_wd if name == 'decay' else 0.0
            for key in ('', *self.paramwise_cfg['custom_keys']):
                chosen = [p for p in parameters if keys.get(id(p), '') == key]
                if chosen:
                    params.append(
                        dict(params=chosen, **self._settings(key, base_decay)))

    def _keys_of_parameters(self, module: nn.Module) -> Dict[int, str]:
        """The custom key of each parameter that one matches, by its id."""
        keys = sorted(self.paramwise_cfg['custom_keys'])
        keys.sort(key=len, reverse=True)
        names = dict(module.named_parameters())
        for key in keys:
            if not any(key in name for name in names):
                raise ValueError(
                    f'paramwise_cfg.custom_keys names {key}, which is in the '
                    f'name of no parameter, e.g. {next(iter(names))}.')
        found = {
            id(parameter): next((key for key in keys if key in name), '')
            for name, parameter in names.items()
        }
        return found

    def _settings(self, key: str, base_decay: Optional[float]) -> dict:
        """What a group is trained with, where it is not the optimizer's."""
        settings = dict(self.paramwise_cfg['custom_keys'].get(key, {}))
        lr_mult, decay_mult = (
            settings.pop(name, 1.) for name in ('lr_mult', 'decay_mult'))
        if lr_mult != 1:
            if self.base_lr is None:
                raise ValueError(f'lr_mult of {key} needs optimizer.lr.')
            settings['lr'] = self.base_lr * lr_mult
        if base_decay == 0 or decay_mult != 1:
            settings['weight_decay'] = base_decay * decay_mult
        return settings
