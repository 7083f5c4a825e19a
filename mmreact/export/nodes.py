"""Where a node of a traced graph comes from."""
from typing import Any, Tuple

from torch import fx, nn


def module_of(node: fx.Node) -> str:
    """The path of the layer that a node calls, or of the module around it."""
    return node.target if node.op == 'call_module' else _around(node)[0]


def is_torch_layer(cls: type) -> bool:
    """Whether a class is, or extends, a layer of torch.nn."""
    return any(
        base.__module__.startswith('torch.nn.modules')
        and base.__module__.split('.')[-1] not in ('module', 'container')
        for base in cls.__mro__)


def path_of(node: fx.Node) -> str:
    """A name for what a node gives.

    That is the path of the layer, also for a function that a layer of
    torch.nn calls; else the path of the module and the function's name.
    """
    path, cls = _around(node)
    if node.op == 'call_module':
        return node.target
    if path and is_torch_layer(cls):
        return path
    name = getattr(node.target, '__name__', node.target)
    return f'{path}.{name}' if path else name


def describe(module: nn.Module, node: fx.Node) -> str:
    """A node for messages: what it calls, and where."""
    if node.op == 'call_module':
        layer = type(module.get_submodule(node.target)).__name__
        return f'The layer {node.target!r} ({layer}, node {node.name!r})'
    target = node.target
    if not isinstance(target, str):
        target = f'{target.__module__}.{target.__name__}'
    kind = 'method' if node.op == 'call_method' else 'function'
    path, cls = _around(node)
    cls = f' ({cls.__name__})' if path else ''
    return (f'The {kind} {target} in the module {path!r}{cls} (node '
            f'{node.name!r})')


def _around(node: fx.Node) -> Tuple[str, Any]:
    """The innermost module that was running: its path and type."""
    stack = list((node.meta.get('nn_module_stack') or {}).values())
    return stack[-1] if stack else ('', None)
