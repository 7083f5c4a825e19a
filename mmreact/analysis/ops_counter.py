"""Count the operations and parameters of a network.

Conventions (ReActNet and Bi-Real Net): a multiply-accumulate is one
operation; only convolutions and linear layers count; a layer counts as binary
(BOPs) only if **both** its input and its weights are 1-bit, else as FLOPs;
``OPs = BOPs / 64 + FLOPs``. A stage-1 network, whose weights are real,
therefore has no BOPs.
"""
from dataclasses import asdict, dataclass
from typing import Dict, List, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd


@dataclass
class LayerOps:
    """One convolution or linear layer, for one image.

    ``macs`` are BOPs where ``binary``, else FLOPs. ``params`` counts the
    weight and the bias, ``one_bit_params`` the weights that one bit stores.
    """
    name: str
    type: str
    output_shape: Tuple[int, ...]
    macs: int
    binary: bool
    params: int
    one_bit_params: int


@dataclass
class OpsReport:
    """What a network costs for one image.

    ``packed_bytes`` is an estimate of its size with 1-bit weights packed into
    64-bit words along the input channels and 4 bytes for every other
    parameter (folding BN into a scale and a shift keeps that number).
    """
    layers: List[LayerOps]
    params: int
    one_bit_params: int
    packed_bytes: int

    @property
    def bops(self) -> int:
        return sum(layer.macs for layer in self.layers if layer.binary)

    @property
    def flops(self) -> int:
        return sum(layer.macs for layer in self.layers if not layer.binary)

    @property
    def ops(self) -> float:
        """``BOPs / 64 + FLOPs``, an integer where 64 divides the BOPs."""
        whole, rest = divmod(self.bops, 64)
        return self.flops + (whole if rest == 0 else self.bops / 64)

    def totals(self) -> Dict[str, float]:
        """All totals by name."""
        names = ('bops', 'flops', 'ops', 'params', 'one_bit_params',
                 'packed_bytes')
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict:
        """Totals and rows, ready for JSON."""
        return dict(
            **self.totals(), layers=[asdict(layer) for layer in self.layers])

    def summary(self) -> str:
        """The totals, a line each."""
        labels = ('BOPs', 'FLOPs', 'OPs (BOPs/64 + FLOPs)', 'parameters',
                  'of which 1-bit', 'packed bytes')
        return '\n'.join(f'  {label:<22}{value:>17,}'
                         for label, value in zip(labels,
                                                 self.totals().values()))

    def table(self) -> str:
        """A row a layer and the totals."""
        width = max([len(layer.name) for layer in self.layers] + [5])
        lines = [
            f'{"layer":<{width}}  {"type":<14}{"output":<18}{"BOPs":>15}'
            f'{"FLOPs":>15}{"parameters":>12}{"1-bit":>12}'
        ]
        for layer in self.layers:
            macs = [layer.macs, 0] if layer.binary else [0, layer.macs]
            shape = 'x'.join(map(str, layer.output_shape))
            lines.append(f'{layer.name:<{width}}  {layer.type:<14}{shape:<18}'
                         f'{macs[0]:>15,}{macs[1]:>15,}{layer.params:>12,}'
                         f'{layer.one_bit_params:>12,}')
        return '\n'.join(lines + [self.summary()])


def count_ops(model: nn.Module, input_shape: Sequence[int]) -> OpsReport:
    """Count a model by running it once on one image.

    Whether the input of a layer is 1-bit is read off the data: it is if every
    value is +1 or -1. The model is left as it was, its mode, statistics and
    gradients included, and no random numbers are drawn.

    Args:
        model (nn.Module): Called as ``model(x)``. Functional convolutions
            are not seen.
        input_shape (Sequence[int]): ``(C, H, W)`` of one image.

    Returns:
        OpsReport: Rows in the order of execution, and totals.
    """
    layers: Dict[Tuple[str, bool], LayerOps] = {}
    hooks = [
        module.register_forward_hook(_make_hook(name, layers))
        for name, module in model.named_modules()
        if isinstance(module, (_ConvNd, nn.Linear))
    ]
    modes = {module: module.training for module in model.modules()}
    like = next(model.parameters(), torch.empty(0))
    size = torch.Size(input_shape).numel()
    # Distinct values of both signs, without the random generator.
    image = torch.linspace(-1.9, 2.3, size).view(1, *input_shape).to(like)
    try:
        model.eval()
        with torch.no_grad():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    one_bit = [m for m in model.modules() if _one_bit_params(m)]
    params = sum(p.numel() for p in model.parameters())
    one_bit_params = sum(map(_one_bit_params, one_bit))
    packed_bytes = sum(map(_packed_bytes, one_bit)) + 4 * (
        params - one_bit_params)
    return OpsReport(
        list(layers.values()), params, one_bit_params, packed_bytes)


def _make_hook(name: str, layers: Dict[Tuple[str, bool], LayerOps]):

    def hook(module: nn.Module, inputs: Tuple[Tensor], output: Tensor):
        macs = _count_macs(module, inputs[0], output)
        one_bit_params = _one_bit_params(module)
        binary = one_bit_params > 0 and _is_one_bit(inputs[0])
        if (name, binary) in layers:  # called more than once
            layers[name, binary].macs += macs
            return
        # Called on 1-bit and on real inputs: two rows, the weights once.
        stored = (name, not binary) not in layers
        layers[name, binary] = LayerOps(
            name=name,
            type=type(module).__name__,
            output_shape=tuple(output.shape[1:]),
            macs=macs,
            binary=binary,
            params=stored * sum(p.numel() for p in module.parameters()),
            one_bit_params=stored * one_bit_params)

    return hook


def _count_macs(module: nn.Module, x: Tensor, y: Tensor) -> int:
    """MACs of a layer; padded taps count, as is usual."""
    if isinstance(module, nn.Linear):
        return y.numel() * module.in_features
    # A transposed convolution spends its taps per input position.
    positions = x if isinstance(module, _ConvTransposeNd) else y
    return positions.numel() * module.weight[0].numel()


def _is_one_bit(x: Tensor) -> bool:
    return bool((x.abs() == 1).all())


def _one_bit_params(module: nn.Module) -> int:
    return module.weight.numel() if getattr(module, 'one_bit_weight',
                                            False) else 0


def _packed_bytes(module: nn.Module) -> int:
    """Bytes of a weight as ``[Cout][kh][kw][ceil(Cin / 64)]`` words."""
    cout, cin = module.weight.shape[:2]
    taps = module.weight[0, 0].numel()
    return cout * taps * -(-cin // 64) * 8
