"""Layers whose weights a network reads instead of calling the layer.

``F.linear(x, self.fc.weight)`` in a forward computes a real layer whatever
``self.fc`` is. That is found in the source of the modules, as far as Python
shows it; a read in a function outside of them is not.
"""
import ast
import inspect
import textwrap
from functools import lru_cache
from typing import Dict, Iterator, List, Optional, Tuple

from torch import nn

#: What may be asked of a weight without computing with it.
HARMLESS = {
    'device', 'dtype', 'dim', 'element_size', 'is_cuda', 'ndim', 'numel',
    'requires_grad', 'shape', 'size'
}
#: Methods with these in their names set layers up.
SETUP = ('init', 'reset', 'load', 'repr', 'register')

#: Names from the module to the weight, e.g. ('self', 'fc'); None stands for
#: an index, a call or a local name.
Chain = Tuple[Optional[str], ...]


def weight_readers(model: nn.Module) -> Dict[nn.Module, str]:
    """Layers whose weight or bias a module around them reads.

    Returns:
        dict[Module, str]: Layer -> the type of the module that reads it.
    """
    readers: Dict[nn.Module, str] = {}
    for module in model.modules():
        below = [(name, layer) for name, layer in module.named_modules()
                 if name and 'weight' in layer._parameters]
        if not below:
            continue
        for chain in _chains(type(module)):
            for name, layer in below:
                if _matches(chain, name):
                    readers.setdefault(layer, type(module).__name__)
    return readers


def _matches(chain: Chain, path: str) -> bool:
    """Whether a chain of names can end at a path below the module."""
    names = path.split('.')
    if chain[0] == 'self' and None not in chain:
        return list(chain[1:]) == names
    tail: List[str] = []
    for name in reversed(chain):
        if name is None or name == 'self':
            break
        tail.insert(0, name)
    return names[len(names) - len(tail):] == tail


@lru_cache(maxsize=None)
def _chains(cls: type) -> Tuple[Chain, ...]:
    """The chains of names in front of ``.weight`` and ``.bias``."""
    chains = []
    for base in cls.__mro__:
        if base in (nn.Module, object):
            continue
        for name, function in vars(base).items():
            if inspect.isfunction(function) and not any(word in name
                                                        for word in SETUP):
                chains += _read_in(function)
    return tuple(dict.fromkeys(chains))


def _read_in(function) -> Iterator[Chain]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return  # written where Python keeps no source
    harmless = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in HARMLESS
    }
    for node in ast.walk(tree):
        if (isinstance(node, ast.Attribute) and node.attr in ('weight', 'bias')
                and isinstance(node.ctx, ast.Load)
                and id(node) not in harmless):
            chain = _chain(node.value)
            if chain != ('self', ):  # a parameter of the module itself
                yield chain


def _chain(node: ast.AST) -> Chain:
    if isinstance(node, ast.Attribute):
        return (*_chain(node.value), node.attr)
    if isinstance(node, ast.Name) and node.id == 'self':
        return ('self', )
    return (None, )
