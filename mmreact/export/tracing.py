"""A model as a flat graph of layers and functions, by torch.fx.

The layers that have a row and those of torch.nn stay whole; all other modules
are traced through. The model itself is left as it is.
"""
import inspect
import operator
from copy import deepcopy
from typing import Callable, Dict

import torch
import torch.nn.functional as F
from torch import fx, nn

from .draft import LoweringError

#: What gives another view of its first argument, not new numbers.
VIEWS = {
    'view', 'reshape', 'flatten', 'chunk', 'split', 'contiguous', 'detach',
    torch.flatten, torch.reshape, torch.chunk, torch.split, F.dropout,
    operator.getitem, nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d
}
#: Operators that change their first argument -> those that do not.
FUNCTIONAL = {
    getattr(operator, f'i{name}'): getattr(operator, name)
    for name in ('add', 'sub', 'mul', 'truediv')
}


def trace(model: nn.Module, leaves: Callable[[nn.Module],
                                             bool]) -> fx.GraphModule:
    """Trace a copy of a model in eval mode, on the CPU.

    An image classifier of MMPretrain (``backbone``, ``neck``, ``head``) gives
    ``dict(output=..., features=...)``: the logits that its head's ``forward``
    gives, and what its backbone gives.

    Args:
        model (nn.Module): Any model that takes one tensor.
        leaves (Callable): Whether a module stays whole.

    Returns:
        GraphModule: Without dead nodes, and without operations in place.

    Raises:
        LoweringError: If its forward depends on data or shapes; names the
            module.
    """
    model = deepcopy(model).cpu().eval()
    if leaves(model):
        model = nn.Sequential(model)
    cls = type(model)
    forward = _classify if _is_classifier(model) else (
        lambda self, x: cls.forward(self, x))
    # Options of forward keep their defaults and do not become inputs.
    model.__class__ = type(cls.__name__, (cls, ), dict(forward=forward))
    tracer = _Tracer(leaves)
    try:
        with torch.no_grad():
            graph = tracer.trace(model)
    except Exception as error:
        raise _explain(model, tracer.path, error) from error
    finally:
        model.__class__ = cls
    module = fx.GraphModule(model, graph, cls.__name__)
    _remove_in_place(module)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def module_of(node: fx.Node) -> str:
    """The path of the layer that a node calls, or of the module around it."""
    if node.op == 'call_module':
        return node.target
    stack = list((node.meta.get('nn_module_stack') or {}).values())
    return stack[-1][0] if stack else ''


class _Tracer(fx.Tracer):
    """Keeps known layers whole, and remembers where it is."""

    def __init__(self, leaves):
        super().__init__()
        self.leaves = leaves
        self.path = ''

    def is_leaf_module(self, module, path):
        return self.leaves(module) or super().is_leaf_module(module, path)

    def call_module(self, module, forward, args, kwargs):
        outside, self.path = self.path, self.path_of_module(module)
        result = super().call_module(module, forward, args, kwargs)
        self.path = outside  # after an error it stays where that was
        return result

    def getattr(self, attr, value, cache):
        # Parameters stay tensors: what is computed from them alone, or asked
        # of their shapes, happens now and is a constant of the graph.
        return value


def _is_classifier(model: nn.Module) -> bool:
    return isinstance(getattr(model, 'backbone', None), nn.Module) and hasattr(
        model, 'head') and hasattr(model, 'extract_feat')


def _classify(self, x):
    """The forward of an image classifier."""
    features = self.backbone(x)
    neck = getattr(self, 'neck', None)
    y = features if neck is None else neck(features)
    return dict(
        output=y if self.head is None else self.head(y), features=features)


def _explain(model: nn.Module, path: str, error: Exception) -> LoweringError:
    where = f'{path!r} ({type(model.get_submodule(path)).__name__})'
    return LoweringError(
        f'The forward of {where if path else "the model"} cannot be traced: '
        f'{type(error).__name__}: {str(error).strip().splitlines()[0]}. A '
        'forward may not branch on values or shapes of tensors. Put checks '
        'into a function under torch.fx.wrap, choose between modules in the '
        'constructor, or make the module a layer with a row of its own '
        '(mmreact.export.lowers).')


def _remove_in_place(module: fx.GraphModule) -> None:
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
    if name.endswith('_') and getattr(torch, name, None) is function:
        return getattr(torch, name.rstrip('_'))
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
