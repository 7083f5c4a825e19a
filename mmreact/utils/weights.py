"""Find a model's weights in a checkpoint, whoever wrote it.

Training frameworks put them under a key of their own (``state_dict``,
``model``, ``ema``, ...) and a prefix before their names (``module.`` of
DataParallel, ``_orig_mod.`` of torch.compile, ``model.`` of Lightning, ...).
A place and a prefix are a *reading*. A reading counts if all names and shapes
are the model's.
"""
from collections import deque
from typing import (Any, Callable, Dict, Iterator, List, Mapping, NamedTuple,
                    Tuple)

from torch import Tensor, nn

from .differences import compare, head_keys, shapes

#: What wrappers put into names; no layer is called so.
WRAPPERS = ('_orig_mod', '_checkpoint_wrapped_module', '_fsdp_wrapped_module')
#: How many dicts are looked into, and levels.
MOST_PLACES, DEEPEST = 1000, 4

Weights = Dict[str, Tensor]
Prepare = Callable[[nn.Module, Weights], Weights]


class Reading(NamedTuple):
    """Weights, and where they are.

    Attributes:
        place (str): Keys of the dicts around them, such as ``'model.ema'``;
            empty if the checkpoint is the dict itself.
        prefix (str): What was removed from their names.
        weights (dict[str, Tensor]): Name -> value.
        left_out (tuple[str]): Names beside them without the prefix.
    """
    place: str
    prefix: str
    weights: Weights
    left_out: Tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"under {self.place!r}" if self.place else 'at its top'
        words = f'{place}, without {self.prefix!r}' if self.prefix else place
        if self.left_out:
            parts = sorted({key.split('.')[0] for key in self.left_out})
            words += (f' ({len(self.left_out)} other keys are left out: '
                      f'{", ".join(parts[:4])})')
        return words

    def equals(self, other: 'Reading') -> bool:
        """Whether both have the same tensors."""
        return all(
            other.weights.get(key) is value
            for key, value in self.weights.items())

    @property
    def is_plain(self) -> bool:
        """Whether MMEngine and torch write weights so."""
        return self.place in ('', 'state_dict') and self.prefix in (
            '', 'module.') and not self.left_out


def as_they_are(model: nn.Module, weights: Weights) -> Weights:
    return weights


def fitting(model: nn.Module,
            checkpoint: Mapping,
            prepare: Prepare = as_they_are) -> List[Reading]:
    """The readings of a checkpoint that fit a model.

    Args:
        model (nn.Module): The model.
        checkpoint (Mapping): What a file holds.
        prepare (Callable): ``prepare(model, weights)`` gives the weights that
            are compared, for example without the classifier.

    Returns:
        list[Reading]: Different weights each. One under ``state_dict`` or at
        the top comes first.
    """
    found: List[Reading] = []
    expected, anchor = shapes(model), _anchor(model)
    for reading in readings(checkpoint, anchor):
        if anchor and anchor not in reading.weights:
            continue
        if not compare(expected, prepare(model, reading.weights)) and not any(
                reading.equals(other) for other in found):
            found.append(reading)
    return sorted(found, key=lambda reading: not reading.is_plain)


def nearest(model: nn.Module, checkpoint: Mapping) -> Reading:
    """The reading that has most of the model's names."""
    expected = shapes(model)
    return max(
        readings(checkpoint, _anchor(model)),
        key=lambda reading:
        (len(expected.keys() & reading.weights.keys()), reading.is_plain,
         len(reading.weights)),
        default=Reading('', '', dict(checkpoint)))


def readings(checkpoint: Mapping, anchor: str = '') -> Iterator[Reading]:
    """Every place with weights; every prefix before ``anchor``, or of all."""
    for place, weights in places(checkpoint):
        prefixes = [''] + [
            key.removesuffix(anchor)
            for key in weights if anchor and key.endswith(f'.{anchor}')
        ]
        for prefix in dict.fromkeys(prefixes):
            yield without(place, prefix, weights)
        common = common_prefix(weights)
        if common not in prefixes:
            yield without(place, common, weights)


def without(place: str, prefix: str, weights: Weights) -> Reading:
    """The reading of one place without one prefix."""
    return Reading(
        place, prefix, {
            key.removeprefix(prefix): value
            for key, value in weights.items() if key.startswith(prefix)
        }, tuple(key for key in weights if not key.startswith(prefix)))


def common_prefix(weights: Weights) -> str:
    """``'module.'`` if all names begin so; as many parts as all share."""
    parts: List[str] = []
    for level in zip(*(key.split('.')[:-1] for key in weights)):
        if len(set(level)) > 1:
            break
        parts.append(f'{level[0]}.')
    return ''.join(parts)


def places(checkpoint: Mapping) -> Iterator[Tuple[str, Weights]]:
    """Dicts of tensors within a checkpoint, the outer ones first.

    Names of wrappers are removed from their keys.
    """
    queue, seen = deque([('', checkpoint, 0)]), {id(checkpoint)}
    while queue and len(seen) < MOST_PLACES:
        place, content, depth = queue.popleft()
        texts = all(isinstance(key, str) for key in content)
        if texts and any(isinstance(v, Tensor) for v in content.values()):
            yield place, _unwrapped(content)
        for key, inner in content.items():
            if (isinstance(inner, Mapping) and id(inner) not in seen
                    and depth < DEEPEST):
                seen.add(id(inner))
                queue.append((f'{place}.{key}'.lstrip('.'), inner, depth + 1))


def _unwrapped(weights: Mapping[str, Any]) -> Weights:
    result = {
        '.'.join(part for part in key.split('.') if part not in WRAPPERS):
        value
        for key, value in weights.items()
    }
    return result if len(result) == len(weights) else dict(weights)


def _anchor(model: nn.Module) -> str:
    """A parameter outside the classifier, which every reading has."""
    heads = head_keys(model)
    return next(
        (key for key in model.state_dict()
         if key not in heads and not key.endswith('num_batches_tracked')), '')
