"""A program in the making: its constants are float64 still."""
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Set, Tuple, Type

import numpy as np
from torch import fx

from ..packed import ops
from ..packed.program import INPUT, Program


class LoweringError(ValueError):
    """A model that cannot be lowered: names the place and the reason."""


@dataclass(frozen=True)
class Ref:
    """A value of the program: the name of what gives it, kind and shape.

    The shape is that for one image of the size given to ``lower``.
    """
    name: str
    kind: str
    shape: Tuple[int, ...]

    @property
    def channels(self) -> int:
        return self.shape[1]


class Draft:
    """Operations by name, in order.

    Attributes:
        operations (Dict[str, Operation]): With constants in float64.
        nodes (Dict[str, fx.Node]): Operation -> the node of the traced graph
            whose value it gives. One in the midst of a layer has none.
        origins (Dict[str, fx.Node]): Operation -> the node it was made for.
        outputs (List[str]): The output, then the features.
        fixed_size (bool): The graph is one for this size of image only.
        sized (Set[str]): Operations whose constants are for this size only.
        partial (Dict[str, tuple]): Means over one side of a map -> what they
            are the mean of, and the other side's axis.
    """

    def __init__(self, input_shape: Tuple[int, int, int]):
        self.input_shape = tuple(input_shape)
        self.operations: Dict[str, ops.Operation] = {}
        self.nodes: Dict[str, fx.Node] = {}
        self.origins: Dict[str, fx.Node] = {}
        self.node: Optional[fx.Node] = None  # the one being lowered
        self.outputs: List[str] = []
        self.fixed_size = False
        self.sized: Set[str] = set()
        self.partial: Dict[str, Tuple[Ref, int]] = {}
        self.values = {INPUT: ops.Value('real', (1, *self.input_shape))}

    def ref(self, name: str) -> Ref:
        return Ref(name, self.values[name].kind, self.values[name].shape)

    def add(self, cls: Type[ops.Operation], name: str, *inputs: Ref,
            **constants) -> Ref:
        """Append an operation. Signs become real where it needs that."""
        inputs = [
            x if x.kind in cls.accepts else self._as_real(x) for x in inputs
        ]
        name = self._unique(name)
        op = cls(name, tuple(x.name for x in inputs), **constants)
        self.values[name] = op.infer(*(self.values[x.name] for x in inputs))
        self.operations[name] = op
        self.origins[name] = self.node
        return self.ref(name)

    def _as_real(self, x: Ref) -> Ref:
        ones = np.ones(x.channels)
        return self.add(
            ops.Affine, f'{x.name}.real', x, scale=ones, shift=0 * ones)

    def _unique(self, name: str) -> str:
        """The name, or for a second call of a layer ``name#2``."""
        unique, number = name, 1
        while unique in self.values:
            number += 1
            unique = f'{name}#{number}'
        return unique

    def merge(self, first: str, second: str, op: ops.Operation) -> None:
        """Put one operation in the place of one and its only consumer.

        Args:
            first, second (str): The two operations.
            op (Operation): Has the name of one of them.
        """
        gone = first if op.name == second else second
        if gone == second:
            self._rename(second, first)
            if second in self.nodes:
                self.nodes[first] = self.nodes[second]
            else:
                self.nodes.pop(first, None)
            self.values[first] = self.values[second]
        self.operations[op.name] = op
        self._drop(gone)

    def _rename(self, old: str, new: str) -> None:
        self.outputs = [new if x == old else x for x in self.outputs]
        for name, op in self.operations.items():
            if old in op.inputs:
                inputs = tuple(new if x == old else x for x in op.inputs)
                self.operations[name] = replace(op, inputs=inputs)

    def only_producer(self, op: ops.Operation):
        """What gives an operation its input, if it has no other consumer."""
        source, taken = op.inputs[0], list(self.outputs)
        for other in self.operations.values():
            taken += other.inputs
        return self.operations.get(source) if taken.count(
            source) == 1 else None

    def prune(self) -> None:
        """Drop the operations that no output needs."""
        needed = set(self.outputs)
        for name, op in reversed(self.operations.items()):
            needed |= set(op.inputs) if name in needed else set()
        for name in [x for x in self.operations if x not in needed]:
            self._drop(name)

    def fix_size(self) -> None:
        """Begin with an operation that no other size of image fits.

        Only if that is needed, after :meth:`prune`.
        """
        if not self.fixed_size and not self.sized & self.operations.keys():
            return
        size = np.ones((1, *self.input_shape[1:]))
        op = ops.Scale(self._unique('size'), (INPUT, ), factor=size)
        self._rename(INPUT, op.name)
        self.operations = {op.name: op, **self.operations}
        self.values[op.name] = self.values[INPUT]
        self.origins[op.name] = None

    def _drop(self, name: str) -> None:
        for table in (self.operations, self.nodes, self.origins, self.values):
            table.pop(name, None)

    def finish(self) -> Program:
        """Round all constants to float32, once.

        Raises:
            LoweringError: If one is too large for it.
        """
        return Program(self.input_shape,
                       tuple(map(_rounded, self.operations.values())),
                       self.outputs[0], tuple(self.outputs[1:]))


def _rounded(op: ops.Operation) -> ops.Operation:
    if isinstance(op, ops.Sign):
        return replace(op, threshold=round_threshold(op.threshold, op.flip))
    with np.errstate(over='ignore'):
        constants = {
            name: value.astype(np.float32)
            for name, value in op.tensors().items() if value.dtype.kind == 'f'
        }
    for name, value in constants.items():
        if not np.isfinite(value).all():
            raise LoweringError(f'The {name} of {op.name!r}, with what is '
                                'folded into it, is too large for float32.')
    return replace(op, **constants)


def round_threshold(threshold: np.ndarray, flip: np.ndarray) -> np.ndarray:
    """Round thresholds to float32 so that no decision changes.

    For a float32 ``x``, ``x > t`` is ``x > t'`` with ``t'`` the largest
    float32 that is not above ``t``; with ``flip`` it is the smallest one that
    is not below. What is a float32 but for the errors of float64 counts as
    one: there a strict comparison must stay strict.

    Args:
        threshold (ndarray): ``(C, )`` float64.
        flip (ndarray): ``(C, )``, 0 or 1.
    """
    with np.errstate(over='ignore', invalid='ignore'):
        near = threshold.astype(np.float32)
        exact = np.abs(near - threshold) <= 2.**-50 * np.abs(threshold)
        to = np.where(flip == 1, np.inf, -np.inf).astype(np.float32)
        beside = np.nextafter(near, to)
    wrong = np.where(flip == 1, near < threshold, near > threshold)
    return np.where(wrong & ~exact, beside, near)
