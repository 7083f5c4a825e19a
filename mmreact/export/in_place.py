"""Replace operations in place in a traced graph by those that are not."""
import inspect
import operator
from typing import Callable, Dict

import torch
import torch.nn.functional as F
from torch import fx, nn

from .draft import LoweringError
from .nodes import module_of

#: What gives another view of its first argument, not new numbers.
VIEWS = {
    'view', 'reshape', 'flatten', 'chunk', 'split', 'contiguous', 'detach',
    'squeeze', 'unsqueeze', 'transpose', 'permute', 'narrow', 'expand',
    'expand_as', 'view_as', 'unflatten', torch.flatten, torch.reshape,
    torch.chunk, torch.split, torch.squeeze, torch.unsqueeze, torch.transpose,
    torch.permute, torch.narrow, torch.unflatten, F.dropout, operator.getitem,
    getattr, nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d
}
#: Operators that change their first argument -> those that do not.
FUNCTIONAL = {
    getattr(operator, f'i{name}'): getattr(operator, name)
    for name in ('add', 'sub', 'mul', 'truediv')
}


def remove_in_place(module: fx.GraphModule) -> None:
    """Let what comes after an operation in place use its result instead."""
    order = {node: i for i, node in enumerate(module.graph.nodes)}
    for node in list(order):
        if not _is_in_place(module, node):
            continue
        target = node.args[0]
        _check_views(module, order, node)
        for user in list(target.users):
            if order[user] > order[node]:
                user.replace_input_with(target, node)
        if node.op == 'call_method':
            node.target = node.target.rstrip('_')
        elif node.op == 'call_function':
            if 'inplace' in _arguments(node):
                named = list(_arguments(node).items())[1:]
                node.args = (node.args[0], )
                node.kwargs = {k: v for k, v in named if k != 'inplace'}
            node.target = _out_of_place(node.target)
    for layer in module.modules():
        if getattr(layer, 'inplace', False):
            layer.inplace = False


def _is_in_place(module: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == 'call_module':
        return bool(
            getattr(module.get_submodule(node.target), 'inplace', False))
    if node.op == 'call_method':
        return node.target.endswith('_') and not node.target.endswith('__')
    if node.op != 'call_function':
        return False
    return _out_of_place(node.target) is not node.target or bool(
        _arguments(node).get('inplace'))


def _out_of_place(function: Callable) -> Callable:
    """``torch.relu_`` -> ``torch.relu``, ``operator.iadd`` -> ``add``."""
    name = getattr(function, '__name__', '')
    for library in (torch, F):
        if name.endswith('_') and getattr(library, name, None) is function:
            return getattr(library, name.rstrip('_'))
    return FUNCTIONAL.get(function, function)


def _arguments(node: fx.Node) -> Dict[str, object]:
    """Arguments of a call by name, as far as Python knows them."""
    try:
        bound = inspect.signature(node.target).bind(*node.args, **node.kwargs)
        return bound.arguments
    except (TypeError, ValueError):
        return dict(node.kwargs)


def _check_views(module: fx.GraphModule, order: Dict[fx.Node, int],
                 node: fx.Node) -> None:
    """Refuse what is changed in place while another view of it is in use."""
    target = node.args[0]
    for other in order:
        if (other is not target and order[other] < order[node]
                and any(order[user] > order[node] for user in other.users)
                and _base(module, other) is _base(module, target)):
            raise LoweringError(
                f'{node.name!r} in the module {module_of(node)!r} changes '
                f'{target.name!r} in place, of which {other.name!r}, used '
                'later, is another view. Write it without inplace.')


def _base(module: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The node whose numbers a view shows."""
    while True:
        target: object = node.target
        if node.op == 'call_module':
            target = type(module.get_submodule(node.target))
        if node.op in ('placeholder', 'get_attr') or target not in VIEWS:
            return node
        node = node.args[0]
