"""What a verification finds."""
from dataclasses import dataclass, field
from typing import List, Optional


@dataclass
class LayerCheck:
    """One operation on the inputs that the torch model feeds to it.

    Attributes:
        name, kind (str): Of the operation.
        values (int): Number of results that were compared.
        accumulators (int, optional): How many of them differ; None if it is
            not a 1-bit layer on signs.
        error (float): Largest error of a real result, in tolerances.
        signs (int): Signs that are not those of the torch model.
        wrong (int): Signs that are not those of the float64 layers.
        distance (float): How far from the threshold a differing sign's input
            was at most, relative to the largest input.
        backend_error (float), backend_wrong (int): Real results in tolerances
            and signs of another backend against the reference, on the
            backend's own inputs.
    """
    name: str
    kind: str
    values: int = 0
    accumulators: Optional[int] = None
    error: float = 0.
    signs: int = 0
    wrong: int = 0
    distance: float = 0.
    backend_error: float = 0.
    backend_wrong: int = 0

    @property
    def ok(self) -> bool:
        others = (self.accumulators or 0) + self.wrong + self.backend_wrong
        return others == 0 and max(self.error, self.backend_error) <= 1


@dataclass
class Difference:
    """An image for which torch and the packed program predict otherwise.

    ``layer`` is the first one with differing signs, of which there are
    ``signs``; None if no sign differs and only the logits do. ``distance`` is
    the largest of these signs' inputs from the threshold, relative to the
    largest input (or the difference of the logits relative to the largest).
    """
    image: int
    torch: int
    packed: int
    layer: Optional[str]
    signs: int
    distance: float
    explained: bool


@dataclass
class VerifyReport:
    """What :func:`verify` found.

    Attributes:
        layers (list[LayerCheck]): On equal inputs.
        backend (str): What ran the program freely.
        images (int): Number of images.
        equal_predictions (int): Images with the same class.
        flipped (int): Images of which some sign differs, both running freely.
        differences (list[Difference]): Images with another class.
        largest_logit_difference (float): Over all images.
    """
    layers: List[LayerCheck]
    backend: str
    images: int = 0
    equal_predictions: int = 0
    flipped: int = 0
    differences: List[Difference] = field(default_factory=list)
    largest_logit_difference: float = 0.

    @property
    def failures(self) -> List[str]:
        """The layers and images whose differences are not roundings."""
        layers = [layer.name for layer in self.layers if not layer.ok]
        images = [x for x in self.differences if not x.explained]
        return layers + [f'image {x.image}' for x in images]

    @property
    def ok(self) -> bool:
        """Whether all is equal or explained by rounding."""
        return not self.failures

    def table(self) -> str:
        """A row a layer, what differs end to end, and the verdict."""
        width = max([len(layer.name) for layer in self.layers] + [9])
        lines = [
            f'{"operation":<{width}}  {"kind":<20}{"values":>11}  '
            f'{"accumulators":<12}  {"error":>6}  signs'
        ]
        lines += [self._row(layer, width) for layer in self.layers]
        lines.append(
            'Errors are in tolerances: 1 is as large as it may be. Signs: how '
            'many are not those of torch.')
        lines.append(
            f'{self.equal_predictions} of {self.images} predictions are equal '
            f'({self.backend}); signs differ in {self.flipped} images, logits '
            f'by {self.largest_logit_difference:.3g} at most.')
        lines += [self._explain(difference) for difference in self.differences]
        lines.append('Verified.' if self.
                     ok else f'NOT VERIFIED: {", ".join(self.failures)}.')
        return '\n'.join(lines)

    __str__ = table

    @staticmethod
    def _row(layer: LayerCheck, width: int) -> str:
        accumulators = ''
        if layer.accumulators is not None:
            accumulators = (f'{layer.accumulators} differ'
                            if layer.accumulators else 'equal')
        error = max(layer.error, layer.backend_error)
        signs = ''
        if layer.kind == 'sign':
            signs = str(layer.signs)
            if layer.signs:
                signs += f', at most {layer.distance:.1e} from the threshold'
        wrong = layer.wrong + layer.backend_wrong
        if wrong:
            signs += f', WRONG {wrong}'
        return (f'{layer.name:<{width}}  {layer.kind:<20}{layer.values:>11,}  '
                f'{accumulators:<12}  {error:>6.2f}  {signs}').rstrip()

    @staticmethod
    def _explain(x: Difference) -> str:
        text = (f'Image {x.image}: torch predicts {x.torch}, packed '
                f'{x.packed}. ')
        if x.layer is None:
            return text + ('No sign differs; the logits do, by '
                           f'{x.distance:.1e} of the largest.')
        return text + (
            f'The first signs to differ are {x.signs} of {x.layer}, '
            f'at most {x.distance:.1e} from the threshold.')
