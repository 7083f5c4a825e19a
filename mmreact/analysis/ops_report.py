"""What a count finds: a row a layer, totals and what does not count."""
from dataclasses import asdict, dataclass, field
from typing import Dict, Iterator, List, Tuple

#: What does not count, for the table.
BESIDE = dict(
    activations='in products of two activations (attention)',
    weights='in products of weights alone, the same for every image',
    constants='in products with constants (box filters)')


@dataclass
class LayerOps:
    """One convolution or linear layer, for one image.

    A product outside of these layers has the name of its weight, and
    ``type`` says what it is ('conv2d', 'matmul'). ``macs`` are BOPs where
    ``binary``, else FLOPs. ``params`` counts the weight and the bias,
    ``one_bit_params`` the weights that one bit stores.
    """
    name: str
    type: str
    output_shape: Tuple[int, ...]
    macs: int
    binary: bool
    params: int
    one_bit_params: int


@dataclass
class UncoveredWeight:
    """A parameter of two or more dimensions that is in no row.

    ``read`` says whether the network reads it at all.
    """
    name: str
    shape: Tuple[int, ...]
    read: bool


@dataclass
class OpsReport:
    """What a network costs for one image.

    ``beside`` are multiply-accumulates that run and do not count, by kind:
    'activations' are products of two tensors that depend on the image
    (attention), 'weights' products of weights alone, which are the same for
    every image, 'constants' products with what the code itself makes (box
    filters). ``uncovered`` are weights in no row, and ``unknown`` the number
    of calls of each operation that is not torch's own, whose products cannot
    be seen.

    ``packed_bytes`` is an estimate of its size with 1-bit weights packed into
    64-bit words along the input channels and 4 bytes for every other
    parameter (folding BN into a scale and a shift keeps that number).
    """
    layers: List[LayerOps]
    params: int
    one_bit_params: int
    packed_bytes: int
    beside: Dict[str, int] = field(default_factory=dict)
    uncovered: List[UncoveredWeight] = field(default_factory=list)
    unknown: Dict[str, int] = field(default_factory=dict)

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
        """Totals, rows and what no row covers, ready for JSON."""
        return dict(
            **self.totals(),
            layers=[asdict(layer) for layer in self.layers],
            beside=self.beside,
            uncovered=[asdict(weight) for weight in self.uncovered],
            unknown=self.unknown)

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
        return '\n'.join([*lines, self.summary(), *self._remarks()])

    def _remarks(self) -> Iterator[str]:
        """What runs or is there, and is in no row."""
        for kind, macs in self.beside.items():
            yield f'Not counted: {macs:,} MACs {BESIDE[kind]}.'
        for name, calls in self.unknown.items():
            yield (f'Not counted: {calls} calls of {name}, which is not '
                   'torch\'s own, so that its products cannot be seen.')
        if self.uncovered:
            yield 'Weights of two or more dimensions that are in no row:'
        for weight in self.uncovered:
            shape = 'x'.join(map(str, weight.shape))
            use = 'used in no counted product' if weight.read else 'not used'
            yield f'  {weight.name} ({shape}): {use}'
