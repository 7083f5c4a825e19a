"""From a torch model to a packed program.

It knows layers, never networks: the modules named ``*_rows`` have a row for
each function and layer, :mod:`.folding` puts what is linear into the
operations beside it.
"""
import inspect
from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence

import numpy as np
from torch import Tensor, fx, nn

from ..packed.ops import ProgramError
from ..packed.program import INPUT, Program
from . import (activation_rows, arithmetic_rows, layer_rows,
               normalization_rows, pooling_rows, resampling_rows, shape_rows,
               slicing_rows, smooth_rows, weight_rows)
from .arrangement import (Arranged, from_base, is_whole, shape_of, to_base,
                          without_repeats)
from .draft import Draft, LoweringError, Ref
from .folding import fold
from .nodes import describe, path_of
from .rows import FUNCTIONS, Site, find_layer, known
from .settling import settle
from .sizes import Images, Side
from .tracing import trace

#: The modules whose import makes the rows.
ROWS = (activation_rows, arithmetic_rows, layer_rows, normalization_rows,
        pooling_rows, resampling_rows, shape_rows, slicing_rows, smooth_rows,
        weight_rows)


@dataclass
class Lowered:
    """A program and the graph that it was made from.

    Args:
        program (Program): The result.
        module (GraphModule): The traced copy of the model.
        nodes (Dict[str, fx.Node]): Operation -> the node of the graph whose
            value it gives. One in the midst of a layer has none.
        origins (Dict[str, fx.Node]): Operation -> the node it was made for,
            which is an earlier one if e.g. a BN is folded into it.
        arranged (Dict[fx.Node, Arranged]): How torch holds the value of a
            node, if in another arrangement than the operation.
    """
    program: Program
    module: fx.GraphModule
    nodes: Dict[str, fx.Node]
    origins: Dict[str, fx.Node]
    arranged: Dict[fx.Node, Arranged] = field(default_factory=dict)

    def to_program(self, name: str, value: np.ndarray,
                   shape: Sequence[int]) -> np.ndarray:
        """What torch gives for an operation, in the operation's ``shape``."""
        arranged = self.arranged.get(self.nodes[name])
        if arranged is None:
            return value
        try:
            return to_base(arranged, value, shape)
        except ValueError as error:  # e.g. a side that had one pixel
            raise LoweringError(
                f'{name!r} has another shape here than for images of '
                f'{self.program.input_shape}, and its sides cannot be told '
                'apart. Verify with images of that size.') from error

    def to_torch(self, name: str, value: np.ndarray) -> np.ndarray:
        """What an operation gives, as torch holds it."""
        arranged = self.arranged.get(self.nodes.get(name))
        return value if arranged is None else from_base(arranged, value)


def lower(model: nn.Module, input_shape: Sequence[int]) -> Program:
    """Make the packed program of a model, for inference.

    The weights of 1-bit layers become bits. Their scale, biases and BN become
    a scale and a shift per channel or, in front of a sign, a threshold; all
    that is computed in float64 and rounded once. Sums in another order give
    other roundings: see :func:`mmreact.export.verify`.

    Args:
        model (nn.Module): A network of layers and functions that have rows
            here, called with one tensor ``(N, C, H, W)``; or an image
            classifier of MMPretrain, whose logits are then the output and
            what its backbone returns are the features. It is left as it is.
        input_shape (Sequence[int]): ``(C, H, W)`` of one image.

    Returns:
        Program: Each operation is named after the layer it comes from.

    Raises:
        LoweringError: If the forward cannot be traced, a layer or function is
            not known, is used in a way that is not, or holds NaN or infinity.
            The message names the place and, for what is not known, all that
            is.
    """
    return lower_traced(model, input_shape).program


def lower_traced(model: nn.Module, input_shape: Sequence[int]) -> Lowered:
    """As :func:`lower`, with what the program was made from."""
    input_shape = tuple(input_shape)
    if len(input_shape) != 3 or not all(
            type(n) is int and n > 0 for n in input_shape):
        raise LoweringError(f'input_shape is {input_shape}, not (C, H, W).')
    module = trace(model, input_shape, _stays_whole)
    draft = Draft(input_shape)
    draft.fixed_size = module.meta['fixed_size']
    env: Dict[fx.Node, Any] = {}
    arranged: Dict[fx.Node, Arranged] = {}
    for node in module.graph.nodes:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), env.get)
        if node.op == 'output':
            draft.outputs = [x.name for x in _outputs(args[0])]
            continue
        draft.node = node
        env[node] = _lower_node(draft, module, node, args, kwargs)
        _check_shape(module, node, env[node])
        if isinstance(env[node], Ref):
            draft.nodes.setdefault(env[node].name, node)
        elif isinstance(env[node], Arranged) and is_whole(env[node]):
            draft.nodes.setdefault(env[node].base.name, node)
            arranged[node] = env[node]
    draft.nodes.pop(INPUT, None)
    draft.prune()
    draft.fix_size()
    fold(draft)
    try:
        return Lowered(draft.finish(), module, draft.nodes, draft.origins,
                       arranged)
    except ProgramError as error:
        raise LoweringError(str(error)) from error


def _lower_node(draft: Draft, module: fx.GraphModule, node: fx.Node, args,
                kwargs):
    """What a node gives: Refs, plain values or structures of them."""
    if node.op == 'placeholder':
        return draft.ref(INPUT)
    if node.op == 'get_attr':
        return _get(module, node.target)
    if isinstance(node.target, type) and issubclass(node.target, tuple):
        return node.target(*args, **kwargs)  # a namedtuple of results
    if type(node.meta.get('value')) is int:  # others are no nodes
        return Images(node.meta['value'])
    if node.op == 'call_function' and _is_constant((args, kwargs)):
        return node.target(*args, **kwargs)
    row, layer = _find_row(module, node)
    site = Site(draft, path_of(node))
    if not row.sizes:
        _check_sizes(site, (args, kwargs))
    args = (site, *args) if layer is None else (site, layer, *args)
    try:
        inspect.signature(row).bind(*args, **kwargs)
    except TypeError as error:
        raise LoweringError(
            f'{describe(module, node)} is called in a way that is not known: '
            f'{error}.') from error
    try:
        return _call(row, site, args, kwargs)
    except ProgramError as error:
        raise LoweringError(str(error)) from error


def _call(row, site: Site, args, kwargs):
    """A row's result; what is arranged otherwise only if the row knows."""
    arranged = _find((args, kwargs), Arranged)
    if not arranged or row.views:
        return row(*args, **kwargs)
    # What was expanded fits an operation without being repeated.
    bases = {x: settle(site, without_repeats(x)) for x in arranged}
    rest = {x.dims for x in bases.values() if isinstance(x, Arranged)}
    if rest:
        site.require(
            row.pointwise and len(rest) == 1
            and len(arranged) == len(_find((args, kwargs), (Ref, Arranged))),
            f'it takes images and vectors, not {arranged[0]}')
        bases = {x: x.base for x in arranged}
    args, kwargs = fx.node.map_aggregate((args, kwargs),
                                         lambda x: bases.get(x, x)
                                         if isinstance(x, Arranged) else x)
    result = row(*args, **kwargs)
    return settle(site, Arranged(result, rest.pop())) if rest else result


def _find(value, kinds) -> list:
    found: list = []
    fx.node.map_aggregate(
        value, lambda x: found.append(x) if isinstance(x, kinds) else None)
    return found


def _check_shape(module: fx.GraphModule, node: fx.Node, result) -> None:
    """Require the shape that torch gives."""
    value = node.meta.get('value')
    if isinstance(result, (Ref, Arranged)) and isinstance(value, Tensor):
        shape = shape_of(result) if isinstance(result, Ref) else result.shape
        if shape != tuple(value.shape):
            raise LoweringError(
                f'{describe(module, node)} gives {tuple(value.shape)[1:]} '
                f'for an image, but its row {shape[1:]}.')


def _find_row(module: fx.GraphModule, node: fx.Node):
    """The row of a node and, if it calls one, the layer."""
    layer, row = None, FUNCTIONS.get(node.target)
    if node.op == 'call_module':
        layer = module.get_submodule(node.target)
        row = find_layer(layer)
    if row is None:
        raise LoweringError(f'{describe(module, node)} is not known. '
                            f'{known()} mmreact.export.lowers adds a row.')
    return row, layer


def _stays_whole(layer: nn.Module) -> bool:
    """Layers with rows, and those of torch.nn that cannot be followed."""
    return find_layer(layer) is not None or isinstance(
        layer, (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention,
                nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder,
                nn.TransformerEncoderLayer, nn.TransformerDecoderLayer))


def _check_sizes(site: Site, arguments) -> None:
    """Refuse the number of images; keep heights and widths as they are."""
    site.require(not _find(arguments, Images), 'it takes the number of images')
    site.sized = bool(_find(arguments, Side))


def _get(module: nn.Module, path: str) -> Any:
    for name in path.split('.'):
        module = getattr(module, name)
    return module


def _is_constant(value) -> bool:
    """Whether a structure holds nothing that depends on the input."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return all(map(_is_constant, value))
    return not isinstance(value, (Ref, Arranged, Images))


def _refs(value):
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for x in value.values() if isinstance(value, dict) else value:
            yield from _refs(x)


def _outputs(result) -> List[Ref]:
    """The output, then the features, of what a forward returns.

    That is what :func:`output_of` takes, or what :func:`.tracing.trace` makes
    classifiers return.
    """
    if isinstance(result, Ref):
        return [result]
    for value in _find(result, Arranged):
        raise LoweringError(f'The forward returns a value arranged as {value}'
                            '; images (N, C, H, W) and vectors (N, C) can be '
                            'returned.')
    features = result
    if isinstance(result, dict) and set(result) == {'output', 'features'}:
        result, features = result['output'], result['features']
    output = output_of(result)
    if not isinstance(output, Ref):
        raise LoweringError(
            f'The forward returns a {type(output).__name__} that does not '
            'depend on the image, and no tensors that do.')
    return [output, *_refs(features)]


def output_of(result: Any) -> Any:
    """The output among what a forward returns.

    Of a tuple or list, such as a backbone's feature maps, it is the last
    entry; of a dictionary the only one, or that named 'out', as segmentation
    networks of torchvision have it. The other ones are features.

    Raises:
        LoweringError: For a dictionary without such an entry.
    """
    while isinstance(result, (tuple, list, dict)) and result:
        if isinstance(result, dict):
            keys = list(result)
            if len(keys) > 1 and 'out' not in keys:
                raise LoweringError(
                    f'The forward returns a dictionary with {keys}; which one '
                    "is the output is not known. Name it 'out', or wrap the "
                    'network in a module that returns this one only.')
            result = result.get('out', result[keys[0]])
        else:
            result = result[-1]
    return result
