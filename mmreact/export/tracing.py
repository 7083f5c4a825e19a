"""A model as a flat graph of functions and layers, by torch.fx.

What a layer computes is the truth, not its type: layers of torch.nn are traced
through to the functions that they call, with their hooks and with the weights
that they use. Only layers that have a row of their own stay whole.
"""
import operator
import os
import traceback
import warnings
from copy import deepcopy
from functools import partial
from typing import Callable, Dict, Sequence, Tuple

import torch
from torch import Tensor, fx, nn

from ..layers.copying import copy_model
from .draft import LoweringError
from .in_place import remove_in_place
from .nodes import is_torch_layer
from .sizes import (IMAGES, Side, Sized, is_images, is_mixed, lists_images,
                    tensors_of, without_data)

#: More nodes than any network has: a loop over images or pixels.
MAX_NODES = 1 << 16


def trace(model: nn.Module, input_shape: Sequence[int],
          leaves: Callable[[nn.Module], bool]) -> fx.GraphModule:
    """Trace a copy of a model in eval mode, on the CPU.

    An image classifier of MMPretrain (``backbone``, ``neck``, ``head``) gives
    ``dict(output=..., features=...)``: the logits that its head's ``forward``
    gives, and what its backbone gives.

    Args:
        model (nn.Module): Any model that takes one tensor.
        input_shape (Sequence[int]): ``(C, H, W)`` of one image. Heights and
            widths that the forward asks for are constants of the graph.
        leaves (Callable): Whether a module stays whole.

    Returns:
        GraphModule: Without dead nodes, and without operations in place.
        ``node.meta['value']`` has the shapes of what a node gives, for
        ``IMAGES`` images, and ``meta['fixed_size']`` of the module says
        whether the graph is one for this size of image only.

    Raises:
        LoweringError: If its forward depends on data; names the module.
    """
    try:
        model = copy_model(model).cpu().eval()
    except ValueError as error:
        raise LoweringError(str(error)) from error
    if leaves(model) or is_torch_layer(type(model)):
        model = nn.Sequential(model)
    for module in model.modules():
        # Of no use in inference; those of old torch look into the result.
        module._backward_hooks.clear()
        module._backward_pre_hooks.clear()
    tracer = _Tracer(input_shape, leaves)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # the model's own run has them
            graph = tracer.trace(_as_root(model))
    except Exception as error:
        raise _explain(model, tracer.path, error) from error
    module = fx.GraphModule(model, graph, type(model).__name__)
    module.meta['fixed_size'] = tracer.fixed_size
    remove_in_place(module)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _as_root(model: nn.Module) -> nn.Module:
    """Let fx trace a call of the model, with its hooks, not its forward."""
    cls = type(model)
    if _is_classifier(model):
        model.forward = partial(_classify, model)

    def call(self, x):
        # Options of forward keep their defaults and do not become inputs.
        self.__class__ = cls
        return self(x)

    model.__class__ = type(cls.__name__, (cls, ), dict(forward=call))
    return model


class _Tracer(fx.Tracer):
    """Follows calls, knows sizes, and remembers where it is."""

    def __init__(self, input_shape: Sequence[int], leaves):
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.leaves = leaves
        self.path = ''
        self.fixed_size = False
        self.evaluating = False
        self.constants: Dict[int, Tuple[Tensor, str]] = {}
        self.without_data: Dict[nn.Module, nn.Module] = {}

    def trace(self, model: nn.Module) -> fx.Graph:
        tensors = [*model.named_parameters(), *model.named_buffers()]
        self.constants = {id(x): (x, name) for name, x in tensors}
        floats = [x.dtype for _, x in tensors if x.is_floating_point()]
        self.dtype = floats[0] if floats else torch.float32
        return super().trace(model)

    def is_leaf_module(self, module, path):
        return False

    def call_module(self, module, forward, args, kwargs):
        if self.evaluating:
            return forward(*args, **kwargs)
        outside, self.path = self.path, self.path_of_module(module)
        leaf = self.leaves(module)
        if leaf:  # its hooks run around it
            path = self.path
            module.forward = lambda *args, **kwargs: self.create_proxy(
                'call_module', path, args, kwargs)
        result = super().call_module(module, forward, args, kwargs)
        if leaf:
            vars(module).pop('forward', None)
            _keep_tensors(module)
        self.path = outside  # after an error it stays where that was
        return result

    def getattr(self, attr, value, cache):
        # Parameters stay tensors: what is computed from them alone happens
        # now and is a constant of the graph.
        return value

    def create_arg(self, a):
        if isinstance(a, Tensor):
            return self._constant(a)
        if is_images(a):
            return self._images(a)
        if is_mixed(a):
            raise fx.proxy.TraceError(
                'a number was computed from the number of images')
        return super().create_arg(a)

    def _constant(self, tensor: Tensor) -> fx.Node:
        if id(tensor) not in self.constants:
            name = f'_constant{len(self.constants)}'
            setattr(self.root, name, tensor.detach())
            self.constants[id(tensor)] = tensor, name
        return self.create_node('get_attr', self.constants[id(tensor)][1], (),
                                {})

    def _images(self, number: int) -> fx.Node:
        """The number of images as a node; it was asked for as an integer."""
        x = next(iter(self.graph.nodes))
        node = self.create_node('call_method', 'size', (x, 0), {})
        node.meta['value'] = IMAGES
        if number == IMAGES:
            return node
        node = self.create_node('call_function', operator.mul,
                                (node, number // IMAGES), {})
        node.meta['value'] = number
        return node

    def proxy(self, node):
        return Sized(node, self)

    def create_proxy(self, kind, target, args, kwargs, *more, **options):
        proxy = super().create_proxy(kind, target, args, kwargs, *more,
                                     **options)
        if len(self.graph.nodes) > MAX_NODES:
            raise fx.proxy.TraceError(f'more than {MAX_NODES} operations')
        if kind == 'placeholder':
            proxy.value = torch.empty((IMAGES, *self.input_shape),
                                      dtype=self.dtype,
                                      device='meta')
        else:
            proxy.value = self._evaluate(kind, target, args, kwargs)
        proxy.node.meta['value'] = proxy.value
        if proxy.value is None or tensors_of(proxy.value) or any(
                isinstance(a, Sized) and type(a.value) is int for a in args):
            return proxy
        return self._fact(proxy)

    def _fact(self, proxy: Sized):
        """A plain value as it is; sizes as such."""
        value = proxy.value
        if isinstance(value, torch.Size):
            return tuple(
                self._size(proxy, n, d, len(value))
                for d, n in enumerate(value))
        if type(value) is not int:
            return value
        return self._size(proxy, value, *_asked(proxy.node))

    def _size(self, proxy: Sized, value: int, dim: int, dims: int):
        if is_images(value):
            proxy = self.proxy(self._images(value))
            proxy.value = value
            return proxy
        if is_mixed(value):
            return proxy
        # Of a map; else of its channels, or how many dimensions it has.
        free = dim > 1 or dim == 1 and dims == 3
        return Side(value, self._use_size) if free else value

    def _use_size(self) -> None:
        self.fixed_size = True

    def to_bool(self, proxy):
        value = getattr(proxy, 'value', None)
        if isinstance(value, bool):
            return value
        return super().to_bool(proxy)

    def _evaluate(self, kind: str, target, args, kwargs):
        """What a step gives for tensors without data; None if not known."""
        try:
            args, kwargs = without_data(args), without_data(kwargs)
            if lists_images(target, args, kwargs):
                return None
            if target in ('cpu', 'cuda'):
                return args[0]
            if target == 'to':
                args = ['meta' if type(x) is str else x for x in args]
            with torch.device('meta'):
                return self._run(kind, target, args, kwargs)
        except Exception:
            return None

    def _run(self, kind: str, target, args, kwargs):
        if kind == 'call_module':
            return self._evaluate_layer(
                self.root.get_submodule(target), args, kwargs)
        if kind == 'call_method':
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs)

    def _evaluate_layer(self, layer: nn.Module, args, kwargs):
        if isinstance(layer, nn.RNNBase):
            return None  # a loop over its first dimension
        if layer not in self.without_data:
            memo = {
                id(x): without_data(x)
                for x in (*layer.parameters(), *layer.buffers(),
                          *vars(layer).values()) if isinstance(x, Tensor)
            }
            vars(layer).pop('forward', None)
            self.without_data[layer] = deepcopy(layer, memo)
        self.evaluating = True
        try:
            layer = self.without_data[layer]
            return layer.forward(*args, **kwargs)
        finally:
            self.evaluating = False


def _keep_tensors(layer: nn.Module) -> None:
    """Make buffers of tensors that a pre-hook has put into a layer."""
    for name, value in list(vars(layer).items()):
        if isinstance(value, Tensor):
            delattr(layer, name)
            layer.register_buffer(name, value.detach())


def _asked(node: fx.Node) -> Tuple[int, int]:
    """Which dimension of how many an integer is the size of.

    All but ``size`` and ``shape`` give no size of a map, or one of all of it.
    """
    x = node.args[0].meta.get('value') if node.args and isinstance(
        node.args[0], fx.Node) else None
    if node.target == 'size' and isinstance(x, Tensor):
        dim = [*node.args[1:], *node.kwargs.values()][0]
        return dim % x.ndim, x.ndim
    if node.target in ('dim', 'ndimension') or node.target is getattr:
        return 0, 0
    return 2, 4


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


def _line(error: Exception) -> str:
    """The innermost line that is neither torch's nor this package's."""
    inside = tuple(
        os.path.dirname(path) + os.sep for path in (torch.__file__, __file__))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(inside) and frame.line:
            return f', at "{frame.line}"'
    return ''


def _explain(model: nn.Module, path: str, error: Exception) -> LoweringError:
    where = f'{path!r} ({type(model.get_submodule(path)).__name__})'
    return LoweringError(
        f'The forward of {where if path else "the model"} cannot be traced: '
        f'{type(error).__name__}: {str(error).strip().splitlines()[0]}'
        f'{_line(error)}. A '
        'forward may not branch on values of tensors, nor make tensors for '
        'the number of images. Put checks into a function under '
        'torch.fx.wrap, choose between modules in the constructor, or make '
        'the module a layer with a row of its own (mmreact.export.lowers).')
