"""Put what a network multiplies into the rows of a table."""
from collections import Counter
from typing import Dict, Optional, Sequence, Set, Tuple

import torch
from torch import nn

from .ops_report import LayerOps
from .products import LAYERS, Product
from .tensor_notes import Origin


class Rows:
    """Products by the layer or the weight that they belong to."""

    def __init__(self, model: nn.Module):
        self.modules = dict(model.named_modules())
        self.parameters = dict(model.named_parameters())
        self.names = {id(p): name for name, p in self.parameters.items()}
        self.layers: Dict[Tuple[str, bool], LayerOps] = {}
        self.covered: Set[str] = set()
        self.beside: Dict[str, int] = Counter()
        self.real: Set[str] = set()
        # Weights that one bit stores, those of layers that do not run too.
        self.one_bit = {
            self.names[id(module.weight)]: tuple(module.weight.shape)
            for module in self.modules.values()
            if getattr(module, 'one_bit_weight', False)
            and id(module.weight) in self.names
        }

    def one_bit_weights(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes ``(Cout, Cin / groups, *taps)`` by name."""
        return {k: v for k, v in self.one_bit.items() if k not in self.real}

    def add(self, product: Product) -> None:
        """Add a product to its row, or to what runs beside the rows."""
        kind = why_beside(product)
        if kind:
            self.beside[kind] += product.macs
            return
        self._note_weight(product)
        name, kind, parameters = self._belongs(product)
        binary = product.one_bit_weight and product.x.one_bit
        new = parameters - self.covered
        self.covered |= new
        sizes = {name: self.parameters[name].numel() for name in new}
        row = self.layers.setdefault(
            (name, binary),
            LayerOps(
                plain_name(name), kind, product.output_shape, 0, binary, 0, 0))
        row.macs += product.macs
        row.params += sum(sizes.values())
        row.one_bit_params += sum(
            sizes[name] for name in new & self.one_bit_weights().keys())

    def _note_weight(self, product: Product) -> None:
        number = torch.Size(product.weight_shape).numel()
        for name in product.weight.parameters & self.parameters.keys():
            if self.parameters[name].numel() != number:
                continue  # a scale
            if product.one_bit_weight:
                self.one_bit[name] = product.weight_shape
            else:
                self.real.add(name)

    def _belongs(self, product: Product) -> Tuple[str, str, Set[str]]:
        """Name, type and parameters of a product's row."""
        names = product.weight.parameters
        owners = {self._owner(name) for name in names}
        if not names and isinstance(self.modules[product.module], LAYERS):
            owners = {product.module}
        if len(owners) == 1 and None not in owners:
            path, = owners
            layer = self.modules[path]
            own = {self.names[id(p)] for p in layer.parameters()}
            return path, type(layer).__name__, own
        parameters = product.parameters & self.parameters.keys()
        if len(names) == 1:
            return next(iter(names)), product.kind, parameters
        path = f'{product.module}.{product.kind}'.lstrip('.')
        return path, product.kind, parameters

    def _owner(self, name: str) -> Optional[str]:
        """The convolution or linear layer that a parameter is part of."""
        path = name
        while path:
            path = path.rpartition('.')[0]
            if isinstance(self.modules.get(path), LAYERS):
                return path
        return None


def plain_name(name: str) -> str:
    """A path without what torch.compile wraps modules in."""
    return '.'.join(part for part in name.split('.') if part != '_orig_mod')


def packed_bytes(shape: Sequence[int]) -> int:
    """Bytes of a weight as ``[Cout][kh][kw][ceil(Cin / 64)]`` words."""
    cout, cin, *taps = shape
    return cout * torch.Size(taps).numel() * -(-cin // 64) * 8


def why_beside(product: Product) -> str:
    """The key of ``BESIDE`` for what does not count, else nothing."""
    low, high = sorted((product.x.origin, product.weight.origin))
    if high <= Origin.WEIGHTS:
        return 'weights'
    if low == Origin.CONSTANT:
        return 'constants'
    if low == Origin.IMAGE and product.kind == 'matmul':
        return 'activations'
    return ''
