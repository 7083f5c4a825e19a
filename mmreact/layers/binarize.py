"""Put 1-bit layers into a network that was not written for them."""
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from ..functional import get_estimator, get_weight_binarizer
from ..functional.estimators import Estimator
from .binary import BinaryConv2d, BinaryLinear
from .copying import copy_model
from .rsign import RSign
from .signed_layer import SignedLayer
from .weight_reads import weight_readers

#: Where a module keeps its hooks, which another module would not have.
HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks',
         '_backward_pre_hooks')
#: What selects layers: a path with wildcards ('layer1.*.conv2') or a type.
Selector = Union[str, type]


@dataclass
class BinarizedLayer:
    """A convolution or linear layer, and what became of it.

    ``reason`` says why a layer was kept real; it is empty for those that were
    binarized.
    """
    name: str
    type: str
    weights: int
    binarized: bool
    reason: str = ''


@dataclass
class BinarizeReport:
    """All convolutions and linear layers of a network, in their order."""
    layers: List[BinarizedLayer]

    @property
    def binarized(self) -> List[BinarizedLayer]:
        return [layer for layer in self.layers if layer.binarized]

    @property
    def kept(self) -> List[BinarizedLayer]:
        return [layer for layer in self.layers if not layer.binarized]

    def table(self) -> str:
        """A row a layer and a line of totals."""
        rows = [('layer', 'type', 'weights', 'became')]
        rows += [(layer.name, layer.type, f'{layer.weights:,}',
                  '1-bit' if layer.binarized else f'real: {layer.reason}')
                 for layer in self.layers]
        name, kind, weights = (
            max(len(row[i]) for row in rows) for i in range(3))
        lines = [
            f'{row[0]:<{name}}  {row[1]:<{kind}}  {row[2]:>{weights}}  '
            f'{row[3]}' for row in rows
        ]
        one_bit = sum(layer.weights for layer in self.binarized)
        total = sum(layer.weights for layer in self.layers)
        lines.append(f'{len(self.binarized)} of {len(self.layers)} layers and '
                     f'{one_bit:,} of {total:,} weights became 1-bit.')
        return '\n'.join(lines)

    __str__ = table


class Binarized(NamedTuple):
    """What :func:`binarize` gives: ``model, report = binarize(...)``."""
    model: nn.Module
    report: BinarizeReport


def binarize(model: nn.Module,
             include: Optional[Sequence[Selector]] = None,
             exclude: Sequence[Selector] = (),
             skip_first: bool = True,
             skip_last: bool = True,
             depthwise: bool = False,
             weight_binarizer: str = 'scaled_sign',
             estimator: Estimator = 'approx',
             rsign: bool = True) -> Binarized:
    """Make the convolutions and linear layers of a network 1-bit.

    In a copy of the model each chosen ``nn.Conv2d`` becomes
    :class:`SignedLayer` ``(RSign, BinaryConv2d)`` and each ``nn.Linear``
    ``(RSign, BinaryLinear)``, with its own weights as latent weights and the
    attributes of the layer (``kernel_size``, ``in_features``). Nothing else
    changes; in particular a zero, as behind a ReLU, becomes -1. A layer stays
    real, and the report says why, if it

    1. is something that no 1-bit layer replaces (a subclass, a 1-d, 3-d or
       transposed convolution, padding other than zeros, a parametrized
       weight, hooks, a forward that was replaced);
    2. is not called, because a module around it reads its weight
       (``F.linear(x, self.fc.weight)``, torch's fused transformer layers);
    3. is selected by ``exclude``, or not selected by ``include``;
    4. is the first or the last convolution or linear layer, in the order in
       which the modules are registered, unless ``skip_first`` or
       ``skip_last`` is False;
    5. is a depthwise convolution, unless ``depthwise``.

    Args:
        model (nn.Module): Any model. It is left as it is.
        include, exclude (Sequence[str | type]): Paths of layers, with the
            wildcards of :mod:`fnmatch` (``'layer4.*'``), or their types.
        skip_first, skip_last (bool): Leave the first and the last layer real.
        depthwise (bool): Binarize depthwise convolutions too.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`.
        estimator (str | dict): Pseudo-gradient of the activations' sign.
        rsign (bool): Learnable thresholds, else the plain sign.

    Returns:
        Binarized: The new model and a :class:`BinarizeReport`.

    Raises:
        ValueError: For an unknown binarizer or estimator, a selector that
            matches no layer, if no layer is left to binarize, or for a
            ScriptModule or a lazy layer.
    """
    get_weight_binarizer(weight_binarizer)
    get_estimator(estimator)
    model = copy_model(model)
    found = _find_layers(model)
    _check_selectors(found, [*(include or []), *exclude])
    names = list(found)
    readers = weight_readers(model)
    report = BinarizeReport([])
    new: Dict[nn.Module, nn.Module] = {}
    for name, module in found.items():
        reason = _why_unsupported(module)
        if not reason and module in readers:
            reason = f'{readers[module]} reads its weight'
        if not reason and _selected(name, module, exclude):
            reason = 'excluded'
        if not reason and include is not None and not _selected(
                name, module, include):
            reason = 'not included'
        if not reason and skip_first and name == names[0]:
            reason = 'the first layer'
        if not reason and skip_last and name == names[-1]:
            reason = 'the last layer'
        if not reason and not depthwise and _is_depthwise(module):
            reason = 'depthwise'
        if not reason:
            new[module] = _one_bit(module, weight_binarizer, estimator, rsign)
        weights = sum(p.numel() for key, p in module.named_parameters()
                      if key != 'bias')
        report.layers.append(
            BinarizedLayer(name,
                           type(module).__name__, weights, not reason, reason))
    if not new:
        raise ValueError('No layer is left to binarize:\n' + report.table())
    return Binarized(_replace(model, new), report)


def _find_layers(model: nn.Module) -> Dict[str, nn.Module]:
    """All convolutions and linear layers by name, shared ones once."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (_ConvNd, nn.Linear))
    }


def _selected(name: str, module: nn.Module,
              selectors: Sequence[Selector]) -> bool:
    return any(
        fnmatchcase(name, s) if isinstance(s, str) else isinstance(module, s)
        for s in selectors)


def _check_selectors(found: Dict[str, nn.Module],
                     selectors: Sequence[Selector]) -> None:
    """Raise a ValueError for a selector that selects nothing."""
    for selector in selectors:
        if not any(_selected(n, m, [selector]) for n, m in found.items()):
            raise ValueError(
                f'{selector!r} selects none of the convolutions and linear '
                f'layers. They are: {", ".join(found) or "none"}.')


def _why_unsupported(module: nn.Module) -> str:
    """Why a layer cannot become 1-bit; empty if it can."""
    if isinstance(module, (BinaryConv2d, BinaryLinear)):
        return '1-bit already'
    if is_parametrized(module) or not isinstance(module.weight, nn.Parameter):
        return 'its weight is parametrized'
    if type(module) not in (nn.Conv2d, nn.Linear):
        return 'this type has no 1-bit form'
    if 'forward' in vars(module) or '_conv_forward' in vars(module):
        return 'its forward is not that of its type'
    if any(getattr(module, name) for name in HOOKS):
        return 'it has hooks'
    if getattr(module, 'padding_mode', 'zeros') != 'zeros':
        return f'padding_mode {module.padding_mode!r}'
    return ''


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module,
                      _ConvNd) and module.groups == module.in_channels > 1


def _one_bit(module: nn.Module, weight_binarizer: str, estimator: Estimator,
             rsign: bool) -> SignedLayer:
    """RSign and the 1-bit layer with a layer's own parameters."""
    kwargs = dict(
        bias=module.bias is not None, weight_binarizer=weight_binarizer)
    if isinstance(module, nn.Linear):
        sign = RSign(module.in_features, estimator, rsign, channel_dim=-1)
        with torch.device('meta'):  # the parameters are replaced below
            layer = BinaryLinear(module.in_features, module.out_features,
                                 **kwargs)
    else:
        sign = RSign(module.in_channels, estimator, rsign)
        with torch.device('meta'):
            layer = BinaryConv2d(module.in_channels, module.out_channels,
                                 module.kernel_size, module.stride,
                                 module.padding, module.dilation,
                                 module.groups, **kwargs)
    layer.weight, layer.bias = module.weight, module.bias
    sign.to(module.weight).requires_grad_(module.weight.requires_grad)
    return SignedLayer(sign, layer).train(module.training)


def _replace(model: nn.Module, new: Dict[nn.Module, nn.Module]) -> nn.Module:
    """Put modules in the place of others, wherever these are used."""
    if model in new:
        return new[model]
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in new:
                parent._modules[name] = new[child]
    return model
