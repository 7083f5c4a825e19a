"""Compare weights with a model by names and shapes, and say what differs."""
from typing import Dict, List, Mapping, NamedTuple, Optional, Set

from torch import Tensor, nn

#: Lines about keys in a message.
MOST_LINES = 7
KINDS = ('missing', 'unexpected', 'shape')


class Difference(NamedTuple):
    """A key that is missing, unexpected or of another shape."""
    kind: str
    key: str
    given: tuple = ()
    expected: tuple = ()

    def __str__(self) -> str:
        if self.kind == 'shape':
            return (f'  shape: {self.key} is {self.given}, the model has '
                    f'{self.expected}')
        return f'  {self.kind}: {self.key} {self.given or self.expected}'


def shapes(model: nn.Module) -> Dict[str, tuple]:
    """Name -> shape of a model's parameters and buffers."""
    return {key: tuple(v.shape) for key, v in model.state_dict().items()}


def compare(expected: Mapping[str, tuple],
            weights: Mapping) -> List[Difference]:
    """Every difference between weights and the :func:`shapes` of a model."""
    given = {  # a file of another layout also holds e.g. numbers
        key: tuple(value.shape) if _is_dense(value) else ()
        for key, value in weights.items()
    }
    return [
        *(Difference('missing', key, expected=shape)
          for key, shape in expected.items() if key not in given),
        *(Difference('unexpected', key, shape)
          for key, shape in given.items() if key not in expected),
        *(Difference('shape', key, given[key], shape)
          for key, shape in expected.items()
          if key in given and given[key] != shape)
    ]  # yapf: disable


def _is_dense(value) -> bool:
    return isinstance(value, Tensor) and not value.is_sparse


def describe(differences: List[Difference]) -> str:
    """A line for each, or the first and the last of each kind."""
    if len(differences) <= MOST_LINES:
        return '\n'.join(map(str, differences))
    kinds = [[d for d in differences if d.kind == kind] for kind in KINDS]
    kinds = [kind for kind in kinds if kind]
    each = (MOST_LINES - 1) // len(kinds)
    shown = []
    for kind in kinds:
        shown += kind if len(kind) <= each else kind[:each - 1] + kind[-1:]
    more = len(differences) - len(shown)
    counts = ', '.join(f'{len(kind)} {kind[0].kind}' for kind in kinds)
    return '\n'.join([*map(str, shown), f'  and {more} more ({counts})'])


def head_keys(model: nn.Module) -> Set[str]:
    """Names of the classifier: ``head.*``, else the last linear layer.

    MMPretrain's VGG and torchvision's networks have no head of their own.
    """
    names = list(model.state_dict())
    prefix = 'head.'
    if not any(name.startswith(prefix) for name in names):
        linear = [
            name for name, module in model.named_modules()
            if isinstance(module, nn.Linear)
        ]
        prefix = f'{linear[-1]}.' if linear and linear[-1] else None
    return {name for name in names if prefix and name.startswith(prefix)}


def other_classes(model: nn.Module,
                  differences: List[Difference]) -> Optional[int]:
    """The number of classes of weights that differ in nothing else.

    0 if they have no classifier at all, None if something else differs.
    """
    heads = head_keys(model)
    if not differences or not all(d.key in heads for d in differences):
        return None
    if all(d.kind == 'missing' for d in differences):
        return 0
    sizes = {d.given[0] for d in differences if d.kind == 'shape' and
             d.given[1:] == d.expected[1:] and d.given}  # yapf: disable
    return sizes.pop() if len(sizes) == 1 else None
