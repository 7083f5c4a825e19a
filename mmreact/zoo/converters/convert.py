"""Move tensors between two implementations; no key is lost in silence."""
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from ...utils.checkpoint import CheckpointError
from .layouts import LAYOUTS, Entry, entries
from .networks import MAX_WIDTH, NETWORKS, backbone_config, build

#: How many differences a message lists.
SHOWN = 8


class ConversionError(CheckpointError):
    """Weights that cannot be converted."""


@dataclass
class Conversion:
    """Converted weights, and what became of each key.

    Attributes:
        arch (str): A key of :data:`NETWORKS`.
        layout (str): Whose names the other side has, a key of
            :data:`LAYOUTS`.
        sizes (tuple[int, int, int]): Channels of the stem and of the image,
            and classes.
        stage (int): 1: real weights, 2: binary weights.
        flat (bool): Whether 1-bit weights are a column ``(N, 1)`` there.
        state_dict (dict[str, Tensor]): The result.
        moved (list[tuple[str, str]]): Keys, from -> to.
        derived (list[str]): Keys of the result that the source has not.
        dropped (list[str]): Keys of the file that have no place in the other.
        ones (bool): Whether all 1-bit weights are +1, -1 or 0.
        zeros (dict[str, tuple[int, int]]): Our name of a 1-bit weight -> how
            many are exactly 0, of how many; only those with any.
    """
    arch: str
    layout: str
    sizes: Tuple[int, int, int]
    stage: int = 2
    flat: bool = False
    state_dict: Dict[str, Tensor] = field(default_factory=dict)
    moved: List[Tuple[str, str]] = field(default_factory=list)
    derived: List[str] = field(default_factory=list)
    dropped: List[str] = field(default_factory=list)
    ones: bool = False
    zeros: Dict[str, Tuple[int, int]] = field(default_factory=dict)

    @property
    def config(self) -> Optional[str]:
        """Config of the network, below ``configs/``; None: no such width."""
        standard = self.sizes[:2] == (NETWORKS[self.arch].width, 3)
        return NETWORKS[self.arch].configs[self.stage] if standard else None

    @property
    def backbone(self) -> dict:
        """Config of our backbone."""
        binarizer = {1: 'real', 2: 'scaled_sign'}[self.stage]
        return dict(
            backbone_config(self.arch, *self.sizes[:2]),
            weight_binarizer=binarizer)


def to_ours(state_dict: Mapping[str, Tensor],
            arch: Optional[str] = None,
            layout: Optional[str] = None) -> Conversion:
    """Convert weights with others' names to ours.

    Args:
        state_dict (Mapping[str, Tensor]): Theirs, without a prefix.
        arch (str, optional): A key of :data:`NETWORKS`. Defaults to the one
            whose names these are.
        layout (str, optional): A key of :data:`LAYOUTS`; the same.

    Returns:
        Conversion: Without what the tensors do not say (stage, dropped).

    Raises:
        ConversionError: If names, shapes or types are of no such network, or
            values are not finite. Lists the first differences.
    """
    found, pairs = _identify(state_dict, arch, layout, theirs=True)
    for entry in pairs:
        name = _their_name(entry, state_dict)
        if name not in state_dict:  # num_batches_tracked, see _differences
            found.state_dict[entry.ours] = torch.zeros((), dtype=entry.dtype)
            found.derived.append(entry.ours)
            continue
        value = _checked(name, state_dict[name], entry)
        found.flat |= entry.kind == 'binary' and value.ndim == 2
        found.moved.append((name, entry.ours))
        found.state_dict[entry.ours] = _signed(entry,
                                               value).reshape(entry.shape)
    _look_at_weights(found, pairs)
    return found


def to_theirs(state_dict: Mapping[str, Tensor],
              arch: Optional[str] = None,
              flat: Optional[bool] = None) -> Conversion:
    """Convert our weights to the names of the authors' code.

    Args:
        state_dict (Mapping[str, Tensor]): Ours.
        arch (str, optional): A key of :data:`NETWORKS`. Defaults to the one
            whose names these are.
        flat (bool, optional): Write 1-bit weights as a column. Defaults to
            the authors' way with stage 2 of the network.

    Raises:
        ConversionError: As :func:`to_ours`.
    """
    found, pairs = _identify(state_dict, arch, 'official', theirs=False)
    found.flat = NETWORKS[found.arch].flat if flat is None else flat
    weights = {}
    for entry in pairs:
        value = _checked(entry.ours, state_dict[entry.ours], entry)
        name, shape = entry.theirs, entry.their_shapes[0]
        if entry.kind == 'binary':
            weights[entry.ours] = value
            if found.flat:
                name, shape = f'{name}s', entry.their_shapes[1]
        found.moved.append((entry.ours, name))
        found.state_dict[name] = _signed(entry, value).reshape(shape)
    _look_at_weights(found, pairs, weights)
    return found


def _signed(entry: Entry, value: Tensor) -> Tensor:
    return value.neg() if entry.kind == 'minus' else value.clone()


def _their_name(entry: Entry, given: Mapping) -> str:
    """Their name of an entry; 1-bit weights go by two."""
    plural = f'{entry.theirs}s'
    if entry.kind == 'binary' and plural in given:
        return plural
    return entry.theirs


def _look_at_weights(found: Conversion,
                     pairs: List[Entry],
                     weights: Optional[Mapping] = None) -> None:
    """Count exact zeros of 1-bit weights; see whether all are +1 or -1."""
    weights = weights or found.state_dict
    found.ones = True
    for entry in pairs:
        if entry.kind == 'binary':
            weight = weights[entry.ours]
            zeros = int((weight == 0).sum())
            if zeros:
                found.zeros[entry.ours] = (zeros, weight.numel())
            found.ones &= bool(((weight.abs() == 1) | (weight == 0)).all())


def _identify(given: Mapping, arch: Optional[str], layout: Optional[str],
              theirs: bool) -> Tuple[Conversion, List[Entry]]:
    """Find the network whose keys these are, and pair all its keys."""
    candidates = [(a, name) for a in (NETWORKS if arch is None else [arch])
                  for name in (LAYOUTS if layout is None else [layout])]
    best = None
    for a, name in candidates:
        stem, head = _outer_layers(a, name, theirs)
        if f'{stem}.weight' not in given and (a, name) != candidates[0]:
            continue
        sizes = _sizes(given, stem, head, NETWORKS[a].width)
        pairs = _pairs(a, name, sizes)
        lines = _differences(given, pairs, theirs)
        if best is None or len(lines) < len(best[0]):
            best = lines, Conversion(a, name, sizes), pairs
    lines, found, pairs = best
    if lines:
        more = len(lines) - SHOWN
        raise ConversionError(
            f'These are not the weights of {arch or "a known network"}; '
            f'nearest is {found.arch} '
            f'({found.layout if theirs else "our"} names), from which '
            f'{len(lines)} keys differ:\n' + '\n'.join(lines[:SHOWN]) +
            (f'\n  and {more} more' if more > 0 else '') +
            f'\nKnown networks: {", ".join(NETWORKS)}.')
    return found, pairs


def _outer_layers(arch: str, layout: str, theirs: bool) -> Tuple[str, str]:
    """Names of the first convolution and of the classifier."""
    rows = LAYOUTS[layout][NETWORKS[arch].backbone['type']]
    if theirs:
        return rows.stem['stem.0'], rows.head
    return 'backbone.stem.0', 'head.fc'


@lru_cache(maxsize=32)
def _pairs(arch: str, layout: str, sizes: Tuple[int, int, int]) -> List[Entry]:
    rows = LAYOUTS[layout][NETWORKS[arch].backbone['type']]
    return entries(build(arch, sizes), rows)


def _sizes(given: Mapping, stem: str, head: str,
           width: int) -> Tuple[int, int, int]:
    """Read width, image channels and classes off the outer layers."""

    def shape(key, ndim, default):
        value = getattr(given.get(f'{key}.weight'), 'shape', ())
        good = len(value) == ndim and all(0 < n <= 2**20 for n in value)
        return value if good else default

    out, channels = shape(stem, 4, (width, 3))[:2]
    classes = shape(head, 2, (1000, ))[0]
    return (out, channels, classes) if out <= MAX_WIDTH else (width, 3,
                                                              classes)


def _differences(given: Mapping, pairs: List[Entry],
                 theirs: bool) -> List[str]:
    """A line for each key that is missing, unexpected or of another shape."""
    lines, known = [], set()
    for entry in pairs:
        name = _their_name(entry, given) if theirs else entry.ours
        known.add(name)
        shapes = entry.their_shapes if theirs else [tuple(entry.shape)]
        expected = ' or '.join(map(str, shapes))
        if name in given:
            found = tuple(getattr(given[name], 'shape', ('no tensor', )))
            if found not in shapes:
                lines.append(f'  {name}: found {found}, expected {expected}')
        elif not theirs or not name.endswith('.num_batches_tracked'):
            lines.append(f'  {name}: missing, expected {expected}')
    lines += [
        f'  {name}: found {tuple(getattr(value, "shape", ("no tensor", )))}, '
        'expected no such key' for name, value in given.items()
        if name not in known
    ]
    return lines


def _checked(name: str, value: Tensor, entry: Entry) -> Tensor:
    """Check type and values of a tensor of the right shape."""
    if value.dtype != entry.dtype or value.layout != torch.strided:
        raise ConversionError(
            f'{name} is {value.dtype} ({value.layout}), expected '
            f'{entry.dtype} ({torch.strided}).')
    wrong = int((~torch.isfinite(value)).sum())
    if wrong:
        raise ConversionError(
            f'{name} holds {wrong} values that are NaN or infinite.')
    return value
