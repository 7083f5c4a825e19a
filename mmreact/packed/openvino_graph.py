"""Programs as OpenVINO models.

OpenVINO's CPU plugin has a 1-bit convolution, BinaryConvolution, that takes
its input from a two-level FakeQuantize: ``x > threshold``, one bit a number.
Outside of what :func:`runs_on_bits` and :meth:`Graph.bits` allow, the pair is
silently wrong or corrupts memory. So a sign is built in two forms, each where
it is needed: bits for such convolutions alone, and +1.0 and -1.0 for all else,
where real convolutions are exact as well.
"""
from typing import Dict, Iterable, List, Mapping, Sequence

import numpy as np
import openvino
from openvino import opset14 as opset

from . import ops
from .bits import unpack
from .openvino_operations import BUILDERS
from .openvino_operations.nodes import affine_node, column, windows
from .ops import ProgramError, kind_of
from .program import INPUT, Program


def build_model(program: Program,
                shape: Sequence[int],
                names: Iterable[str],
                one_bit: bool = True) -> openvino.Model:
    """Build the model that computes the named operations.

    Args:
        program (Program): What to compute.
        shape (Sequence[int]): ``(N, C, H, W)`` of the input. It is fixed:
            BinaryConvolution takes no other.
        names (Iterable[str]): Operations whose results are the outputs, in
            this order; signs are +1.0 and -1.0.
        one_bit (bool): Use BinaryConvolution where it is exact.

    Raises:
        ProgramError: If the program does not take this shape, or one of the
            operations does not exist or cannot be built.
    """
    parameter = opset.parameter(list(shape), np.float32, name=INPUT)
    graph = Graph(program.operations, program.infer(shape[1:], shape[0]),
                  {INPUT: parameter}, one_bit)
    return graph.model(list(names))


class Graph:
    """The nodes of a model while it is built.

    Attributes:
        operations (dict): Name -> operation.
        values (dict): Name -> kind and shape of its value.
        nodes (dict): Name -> its value in the model; signs as real numbers.
        readers (dict): Name -> the built operations that take its value.
    """

    def __init__(self,
                 operations: Iterable[ops.Operation],
                 values: Mapping[str, ops.Value],
                 parameters: Mapping[str, openvino.Node],
                 one_bit: bool = True):
        self.operations = {op.name: op for op in operations}
        self.values = values
        self.parameters = parameters
        self.one_bit = one_bit
        self.nodes = {k: node.output(0) for k, node in parameters.items()}
        self.readers: Dict[str, List[ops.Operation]] = {}
        self._bits: Dict[str, openvino.Node] = {}

    def model(self, names: Sequence[str]) -> openvino.Model:
        self.build(names)
        results = [opset.result(self.nodes[name]) for name in names]
        for name, result in zip(names, results):
            result.output(0).set_names({name})
        for name, parameter in self.parameters.items():
            parameter.output(0).set_names({name})
        return openvino.Model(results, list(self.parameters.values()),
                              'mmreact')

    def build(self, names: Iterable[str]) -> None:
        """Build the named operations and all that they need."""
        needed = set(names)
        unknown = needed - set(self.operations)
        if unknown:
            raise ProgramError(f'There is no operation {min(unknown)!r}.')
        for op in reversed(self.operations.values()):
            if op.name in needed:
                needed.update(op.inputs)
                for source in op.inputs:
                    self.readers.setdefault(source, []).append(op)
        for op in self.operations.values():
            if op.name in needed:
                self._build(op)

    def _build(self, op: ops.Operation) -> None:
        check_supported(op)
        if runs_on_bits(op, self):
            node = binary_convolution(op, self)
        else:
            inputs = (self.nodes[name] for name in op.inputs)
            node = BUILDERS[type(op)](op, self, *inputs)
        if isinstance(node, openvino.Node):
            node.set_friendly_name(op.name)
            node = node.output(0)
        self.nodes[op.name] = node

    def rank(self, name: str) -> int:
        return len(self.values[name].shape)

    def sizes(self, op: ops.Operation):
        """Height and width of an operation's input, and of its result."""
        return [self.values[n].shape[2:] for n in (op.inputs[0], op.name)]

    def bits(self, name: str) -> openvino.Node:
        """A sign's bits, ``(N, C, H, W)``, for BinaryConvolution only.

        What nothing but a FakeQuantize reads, OpenVINO merges with it: it
        moves the thresholds through additions and multiplications, where ties
        get lost, and after a sum of a convolution and another value the result
        is wrong. The sign as numbers stands in between then.
        """
        if name not in self._bits:
            op = self.operations[name]
            x, threshold, flip = op.inputs[0], op.threshold, op.flip
            if x in self.operations and not self.has_other_reader(x):
                x, threshold, flip = name, np.zeros_like(threshold), 0 * flip
            node = self.nodes[x]
            if self.rank(x) == 2:
                node = opset.unsqueeze(node, [2, 3])
            self._bits[name] = fake_quantize(node, threshold, flip)
        return self._bits[name]

    def has_other_reader(self, name: str) -> bool:
        """Whether a node reads this value that is no sign and cannot go."""
        shape = self.values[name].shape
        return any(
            len(op.inputs) > 1 or self.values[op.name].shape != shape
            for op in self.readers[name])


def check_supported(op: ops.Operation) -> None:
    """Raise a ProgramError if an operation cannot be built."""
    if type(op) not in BUILDERS:
        raise ProgramError(f'The OpenVINO backend lacks the operation '
                           f'{kind_of(type(op))} ({op.name!r}).')


def runs_on_bits(op: ops.Operation, graph: Graph) -> bool:
    """Whether BinaryConvolution computes this operation exactly.

    Without each of these conditions OpenVINO 2026.4 gave wrong results or
    refused; groups it does not have.
    """
    if not (graph.one_bit and isinstance(op,
                                         (ops.BinaryConv2d, ops.BinaryLinear))
            and isinstance(graph.operations.get(op.inputs[0]), ops.Sign)
            and op.in_channels % 8 == 0):
        return False
    if isinstance(op, ops.BinaryLinear):
        return True
    stride, left, kernel = op.stride[1], op.padding[1], op.weight.shape[2]
    (_, width), (_, out) = graph.sizes(op)
    right = (out - 1) * stride + kernel - width - left
    return (op.groups == 1 and op.dilation == (1, 1) and stride in (1, 2)
            and kernel <= 7 and max(left, right) <= min(2, out))


def binary_convolution(op, graph: Graph) -> openvino.Node:
    """BinaryConv2d, or BinaryLinear as 1x1 convolution, on bits."""
    signs = unpack(op.weight, op.in_channels)
    if isinstance(op, ops.BinaryConv2d):
        signs, geometry = signs.transpose(0, 3, 1, 2), windows(op)
    else:
        signs, geometry = signs[..., None, None], ([1, 1], [0, 0], [0, 0])
    weight = openvino.Tensor(openvino.Type.u1, openvino.Shape(signs.shape))
    # A tensor made of an array would not keep the array alive.
    weight.data[:] = np.packbits(signs.reshape(-1) > 0, bitorder='little')
    y = opset.binary_convolution(
        graph.bits(op.inputs[0]), openvino.op.Constant(weight), *geometry,
        [1, 1], 'xnor-popcount', 0.)
    y = affine_node(y, op.scale, op.shift, 4)
    return y if graph.rank(op.name) == 4 else opset.squeeze(y, [2, 3])


def fake_quantize(x, threshold: np.ndarray, flip: np.ndarray):
    """``x > threshold`` as bits; with ``flip``, ``x < threshold``.

    ``x < t`` is ``not x > t'`` with the next lower float ``t'``.
    """
    flip = flip.astype(bool)
    lower = np.nextafter(threshold, np.float32(-np.inf))
    limit = column(np.where(flip, lower, threshold), 4)
    return opset.fake_quantize(x, limit, limit, column(flip, 4),
                               column(~flip, 4), 2)
