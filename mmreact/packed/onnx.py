"""Programs as ONNX models, in real numbers.

ONNX has no 1-bit convolution: signs are +1.0 and -1.0 here, and the 1-bit
weights int8. Engines make float weights of these when they load the model.
"""
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Union

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .. import __version__
from . import container, ops
from .onnx_operations import BUILDERS, pooling, resampling
from .ops import ProgramError, kind_of
from .program import INPUT, Program

#: Of the models that are written; ONNX Runtime reads it since 1.12 (2022).
OPSET = 17
IR_VERSION = 8


def export_onnx(program: Program,
                path: Union[str, Path],
                metadata: Optional[Mapping[str, str]] = None) -> int:
    """Write a program as ONNX model.

    The number of images is free, as are height and width if the program takes
    other ones. Nodes and their results are named like the operations.

    Args:
        program (Program): What to write.
        path (str | Path): Its folder is made if it does not exist.
        metadata (dict[str, str], optional): Kept in the model's properties.

    Returns:
        int: Number of bytes.

    Raises:
        ProgramError: If an operation cannot be written.
        OSError: If the file cannot be written.
    """
    model = build_onnx(program, [program.output])
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    container.write(path, data)
    return len(data)


def build_onnx(program: Program, names: Iterable[str]) -> onnx.ModelProto:
    """Build the model that computes the named operations.

    Raises:
        ProgramError: If one of them does not exist or cannot be written.
    """
    graph = Graph(program.infer(program.input_shape))
    for op in program.operations:
        graph.build(op)
    return graph.model([INPUT], list(names), has_free_size(program))


def has_free_size(program: Program) -> bool:
    """Whether an exported model takes images of other sizes."""
    channels, height, width = program.input_shape
    try:
        program.infer((channels, 2 * height, 2 * width))
    except ProgramError:
        return False
    return not any(
        pooling.is_for_one_size(op) or resampling.is_for_one_size(op)
        for op in program.operations)


class Graph:
    """Nodes and constants while they are collected.

    Attributes:
        values (dict): Name -> kind and shape of its value.
        operations (dict): Name -> operation, of those that were built.
    """

    def __init__(self, values: Mapping[str, ops.Value]):
        self.values = values
        self.operations: Dict[str, ops.Operation] = {}
        self.nodes: List[onnx.NodeProto] = []
        self.constants: List[onnx.TensorProto] = []
        self._prefix = ''

    def build(self, op: ops.Operation) -> None:
        """Append the nodes of an operation; the last one has its name."""
        if type(op) not in BUILDERS:
            raise ProgramError(f'The ONNX export lacks the operation '
                               f'{kind_of(type(op))} ({op.name!r}).')
        self.operations[op.name] = op
        self._prefix, first = op.name, len(self.nodes)
        BUILDERS[type(op)](op, self, *op.inputs)
        if len(self.nodes) == first:
            self.add('Identity', op.inputs[0])
        self.nodes[-1].name = self.nodes[-1].output[0] = op.name

    def add(self, kind: str, *inputs: Union[str, np.ndarray],
            **attributes) -> str:
        """Append a node and return the name of its result."""
        inputs = [
            i if isinstance(i, str) else self._constant(i) for i in inputs
        ]
        name = self._unique(kind)
        self.nodes.append(
            helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def signs(self, signs: np.ndarray) -> str:
        """Weights +1 and -1, a byte each."""
        return self.add('Cast', signs.astype(np.int8), to=TensorProto.FLOAT)

    def rank(self, name: str) -> int:
        return len(self.values[name].shape)

    def sizes(self, op: ops.Operation):
        """Height and width of an operation's input, and of its result."""
        return [self.values[n].shape[2:] for n in (op.inputs[0], op.name)]

    def model(self, inputs: Iterable[str], outputs: Iterable[str],
              free_size: bool) -> onnx.ModelProto:
        """The model that takes and gives the named values.

        Args:
            inputs, outputs (Iterable[str]): Names of values.
            free_size (bool): Leave height and width open.
        """
        graph = helper.make_graph(
            self.nodes, 'mmreact',
            *([self._info(name, free_size) for name in names]
              for names in (inputs, outputs)), self.constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid('', OPSET)],
            ir_version=IR_VERSION,
            producer_name='mmreact',
            producer_version=__version__)

    def _info(self, name: str, free_size: bool) -> onnx.ValueInfoProto:
        if name not in self.values:
            raise ProgramError(f'There is no operation {name!r}.')
        _, channels, *size = self.values[name].shape
        if free_size:
            size = ['H', 'W'] if name == INPUT else [None] * len(size)
        return helper.make_tensor_value_info(name, TensorProto.FLOAT,
                                             ['N', channels, *size])

    def _constant(self, array: np.ndarray) -> str:
        name = self._unique('constant')
        self.constants.append(
            numpy_helper.from_array(np.asarray(array, order='C'), name))
        return name

    def _unique(self, kind: str) -> str:
        """A name that no operation has."""
        number = len(self.nodes) + len(self.constants)
        name = f'{self._prefix}/{kind}{number}'
        while name in self.values:
            name += '_'
        return name
