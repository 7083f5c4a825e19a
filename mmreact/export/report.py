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
        ties (int): Signs whose exact sum is on the threshold, and that torch
            gives otherwise because its sum was rounded off it.
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
    ties: int = 0
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
    ``ties`` of the signs have a sum that is on the threshold.
    """
    image: int
    torch: int
    packed: int
    layer: Optional[str]
    signs: int
    distance: float
    explained: bool
    ties: int = 0


#: One image of so many may be predicted otherwise because of rounding.
IMAGES_PER_DIFFERENCE = 8


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

    @property
    def ties(self) -> int:
        """Signs that torch's rounding decides: see :class:`LayerCheck`."""
        return sum(layer.ties for layer in self.layers)

    @property
    def verdict(self) -> str:
        """'verified', 'wrong' or 'undecided'.

        'wrong': an operation gives something else than the model's layer for
        equal inputs, or a prediction differs for another reason than
        rounding. 'undecided': that is not so, but there were no images, or
        more than one in ``IMAGES_PER_DIFFERENCE`` is predicted otherwise.
        """
        if not self.ok:
            return 'wrong'
        differ = self.images - self.equal_predictions
        few = differ <= self.images // IMAGES_PER_DIFFERENCE
        return 'verified' if self.images and few else 'undecided'

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
        if self.ties:
            lines.append(
                f'{self.ties} signs are ties: their sums are exactly on the '
                "threshold, and torch's rounding decides them. Neither result "
                'is more right. A BN or a bias between 1-bit layers avoids '
                'ties.')
        return '\n'.join([*lines, self._conclude()])

    def _conclude(self) -> str:
        """The verdict with its reason."""
        if self.verdict == 'wrong':
            return f'NOT VERIFIED: {", ".join(self.failures)}.'
        if not self.images:
            return 'NOT DECIDED: there were no images.'
        differ = self.images - self.equal_predictions
        verb = 'differs' if differ == 1 else 'differ'
        same = 'every operation gives what the model gives for equal inputs'
        other = f'{differ} of {self.images} predictions {verb} by rounding'
        if self.verdict == 'undecided':
            return (f'NOT DECIDED: {same}, but {other}, which is too many to '
                    'call the networks equal. Compare their accuracy on more '
                    'images.')
        if differ:
            return f'Verified: {same}; {other}.'
        return (f'Verified: {same}, and all {self.images} predictions are '
                'equal.')

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
        if layer.ties:
            signs += f', {layer.ties} ties'
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
            f'at most {x.distance:.1e} from the threshold'
            f'{f"; {x.ties} are ties" if x.ties else ""}.')
