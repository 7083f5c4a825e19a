"""Compare a packed program with the model that it was lowered from.

Layer by layer, with equal inputs: each operation gets what the torch model
(float32) feeds to its layers. The truth is what these layers, BN and all, give
in float64 for that input.

- Accumulators of 1-bit layers are integers and must be equal.
- Real results may differ by ``TOLERANCE`` (:mod:`.tolerance`) times the sum of
  the magnitudes of all terms: a scale and a shift that cancel each other leave
  their rounding behind.
- Signs must be those of the float64 layers, except where the input is next to
  the threshold among the numbers of float32. Signs of the torch model that are
  others are counted: there its own rounding crossed the threshold. Ties are
  counted, too: sums of 1-bit layers that are exactly on a threshold, where
  torch's rounding of the sum decides the sign.

Then both run freely, and predictions are compared. A difference there is
explained by the first layer with other signs, and how near to the threshold
these were. More of them than few leave the verdict open.
"""
from dataclasses import replace
from typing import (Any, Dict, Iterable, Iterator, List, Optional, Sequence,
                    Union)

import numpy as np
import torch
from torch import Tensor, fx, nn

from ..layers import BinaryConv2d, BinaryLinear
from ..layers.copying import copy_model
from ..packed import ops
from ..packed.program import INPUT, Program
from ..packed.reference import ReferenceBackend, run_operation
from .draft import LoweringError
from .lowering import Lowered, lower_traced, output_of
from .replay import Replay
from .report import Difference, LayerCheck, VerifyReport
from .tolerance import (BACKEND_TOLERANCE, HALF_TOLERANCE, TOLERANCE,
                        accumulate, column, in_tolerances, is_half, magnitude)

#: Where free-running signs may differ: distance from the threshold relative
#: to the largest input; with float32 and with float16 weights.
NEAR, HALF_NEAR = 2.**-12, 2.**-7


def verify(model: nn.Module,
           packed: Any,
           images: Union[Tensor, np.ndarray, Iterable],
           backend: Any = None,
           batch_size: Optional[int] = None) -> VerifyReport:
    """Verify a packed program against the torch model: see this module's head.

    Args:
        model (nn.Module): The model that it was lowered from. It is left as
            it is.
        packed (Program | PackedFile | PackedModel): What was lowered from it.
        images (Tensor | ndarray | Iterable): ``(N, C, H, W)``, normalised, or
            an iterable of such batches.
        backend (optional): Runs the program freely, and is compared with the
            reference layer by layer. Defaults to the reference.
        batch_size (int, optional): Of an array of images; by default as many
            as have the pixels of 16 of 32x32. All layers' results are kept.

    Raises:
        LoweringError: If the program is not one of this model, or if tracing
            gives another network than the model is.
    """
    program = getattr(packed, 'program', packed)
    lowered = lower_traced(model, program.input_shape)
    _check_same(program, lowered.program)
    backend = backend or ReferenceBackend(program)
    comparison = _Comparison(program, lowered, backend)
    whole = copy_model(model).cpu().float().eval()
    for batch in _batches(images, batch_size):
        x = np.ascontiguousarray(batch, np.float32)
        comparison.add(x, _run_whole(whole, x))
    return comparison.report


def default_batch_size(shape: Sequence[int]) -> int:
    """Images ``(..., H, W)`` that have the pixels of 16 of 32x32."""
    return max(1, 2**14 // (shape[-2] * shape[-1]))


@torch.no_grad()
def _run_whole(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """What the model itself gives, without any tracing."""
    # A copy: the first layer may change its input in place.
    return output_of(model(torch.from_numpy(x.copy()))).numpy()


def _batches(images, size: Optional[int]) -> Iterator[np.ndarray]:
    if not hasattr(images, 'shape'):
        for batch in images:
            yield np.asarray(batch)
        return
    images = np.asarray(images)
    size = size or default_batch_size(images.shape)
    for i in range(0, len(images), size):
        yield images[i:i + size]


def _check_same(program: Program, own: Program) -> None:
    """Require the operations that the model is lowered to."""
    ours, theirs = ([(type(op), op.name, op.inputs)
                     for op in p.operations] + [(p.output, p.features)]
                    for p in (own, program))
    for a, b in zip(ours, theirs):
        if a != b:
            raise LoweringError(
                f'This program was not lowered from this model: it has {b} '
                f'where the model gives {a}.')
    if len(ours) != len(theirs):
        raise LoweringError(
            f'This program was not lowered from this model: it has '
            f'{len(theirs) - 1} operations, the model gives {len(ours) - 1}.')


class _Comparison:
    """Collects the report, batch by batch."""

    def __init__(self, program: Program, lowered: Lowered, backend):
        self.program, self.lowered, self.backend = program, lowered, backend
        self.operations = {op.name: op for op in program.operations}
        self.kinds = {
            name: value.kind
            for name, value in program.infer(program.input_shape).items()
        }
        self.float32 = Replay(lowered, torch.float32)
        self.float64 = Replay(lowered, torch.float64)
        self.layers = {
            op.name: LayerCheck(op.name, ops.kind_of(type(op)))
            for op in program.operations
        }
        self.report = VerifyReport(list(self.layers.values()), backend.name)
        half = any(map(is_half, program.operations))
        self.near = HALF_NEAR if half else NEAR

    def add(self, x: np.ndarray, whole: np.ndarray) -> None:
        """Compare on one batch, for which the model gives ``whole``."""
        values = self.float32.run_all(torch.from_numpy(x))
        # What torch gives, for each operation that stands for a node of it.
        given = {INPUT: x}
        shapes = self.program.infer(x.shape[1:], len(x))
        for name, node in self.lowered.nodes.items():
            dtype = np.int8 if self.kinds[name] == 'sign' else np.float32
            value = values[node].numpy().astype(dtype, copy=False)
            given[name] = self.lowered.to_program(name, value,
                                                  shapes[name].shape)
        sizes = {n: v for n, v in values.items() if _is_plain(v)}
        del values  # what no operation gives is not needed any more
        output = given[self.program.output]
        if not np.allclose(output, whole, 1e-3, 1e-3 * np.abs(whole).max()):
            raise LoweringError(
                'The trace of the model computes something else than the '
                'model: its forward keeps a state, changes tensors in place '
                'or depends on more than its input.')
        self.exact: Dict[str, np.ndarray] = {}
        for name in given:
            if name != INPUT:
                self._compare(self.operations[name], given, sizes)
        self.exact.clear()
        for op in self.operations.values():
            if all(source in given for source in op.inputs):
                self._compare_accumulators(op, given)
        if type(self.backend) is not ReferenceBackend:
            self._compare_backend(x)
        self._compare_free(x, given)

    def _compare(self, op: ops.Operation, given, sizes) -> None:
        """A layer in torch's float64 and packed, with torch's inputs."""
        check = self.layers[op.name]
        unit = self._unit(op, given)
        inputs = {x for o in unit for x in o.inputs if x in given}
        known = dict(sizes)
        for name in inputs:
            known[self._node(name)] = torch.from_numpy(
                self.lowered.to_torch(name, given[name]))
        truth = self.float64.evaluate(self.lowered.nodes[op.name],
                                      known).numpy()
        result = self._run(op, {name: given[name] for name in inputs})
        truth = self.lowered.to_program(op.name, truth, result.shape)
        check.values += result.size
        if self._counts(op):
            self.exact[op.name] = result
        if self.kinds[op.name] == 'real':
            size = self._magnitude(
                op, {name: np.abs(given[name])
                     for name in inputs})
            half = any(map(is_half, unit))
            tolerance = HALF_TOLERANCE if half else TOLERANCE
            check.error = max(check.error,
                              in_tolerances(result - truth, tolerance * size))
            return
        wrong = result != truth
        others = result != given[op.name]
        if isinstance(op, ops.Sign):
            # An input that the rounding of thresholds put on the other side.
            x = self._get(op.inputs[0], given)
            threshold = column(op.threshold, x)
            distance = np.abs(x - threshold)
            wrong &= ~(distance <= np.spacing(np.abs(threshold)))
            check.distance = max(check.distance, _largest(distance, others, x))
            check.ties += self._count_ties(op, given)
        check.wrong += int(wrong.sum())
        check.signs += int(others.sum())

    def _count_ties(self, op: ops.Sign, given) -> int:
        """Signs of torch that are others than those of sums on a threshold."""
        exact = self._exact(op.inputs[0], given)
        ties = _is_on(exact, op.threshold) & ~_is_on(
            self._get(op.inputs[0], given), op.threshold)
        others = run_operation(op, exact) != given[op.name]
        return int((ties & others).sum())

    def _exact(self, name: str, given) -> np.ndarray:
        """A value without torch's rounding, back to signs and real layers."""
        op = self.operations.get(name)
        if op is None or self.kinds[name] == 'sign' or isinstance(
                op, (ops.Conv2d, ops.Linear)):
            return self._get(name, given)
        if name not in self.exact:
            self.exact[name] = run_operation(
                op, *(self._exact(x, given) for x in op.inputs))
        return self.exact[name]

    def _node(self, name: str) -> fx.Node:
        if name == INPUT:
            return next(iter(self.float32.graph.nodes))
        return self.lowered.nodes[name]

    def _unit(self, op: ops.Operation, given) -> List[ops.Operation]:
        """An operation, and those before it whose values torch has not."""
        before = [self.operations[x] for x in op.inputs if x not in given]
        return [op] + [x for o in before for x in self._unit(o, given)]

    def _run(self, op: ops.Operation, known: Dict[str, np.ndarray]):
        """An operation, and those before it that are not known."""
        return run_operation(op, *(self._get(x, known) for x in op.inputs))

    def _get(self, name: str, known: Dict[str, np.ndarray]) -> np.ndarray:
        return known[name] if name in known else self._run(
            self.operations[name], known)

    def _magnitude(self, op: ops.Operation, known: Dict[str, np.ndarray]):
        """The same with the magnitudes of all terms."""
        inputs = [
            known[name] if name in known else self._magnitude(
                self.operations[name], known) for name in op.inputs
        ]
        return magnitude(op, *inputs)

    def _compare_accumulators(self, op: ops.Operation, given) -> None:
        """The integers of a 1-bit layer, from its own weights."""
        if not self._counts(op):
            return
        origin = self.lowered.origins[op.name]
        layer = origin.op == 'call_module' and (
            self.lowered.module.get_submodule(origin.target))
        if not isinstance(layer, (BinaryConv2d, BinaryLinear)):
            return
        check, x = self.layers[op.name], given[op.inputs[0]]
        ones = np.ones_like(op.scale)
        packed = run_operation(replace(op, scale=ones, shift=0 * ones), x)
        truth = accumulate(layer, torch.from_numpy(x)).numpy()
        check.accumulators = (check.accumulators or 0) + int(
            (packed != truth).sum())

    def _counts(self, op: ops.Operation) -> bool:
        """Whether an operation's sums are integers."""
        return isinstance(
            op,
            (ops.BinaryConv2d, ops.BinaryLinear)) and (self.kinds[op.inputs[0]]
                                                       == 'sign')

    def _compare_backend(self, x: np.ndarray) -> None:
        """A backend's operations on its own inputs, and the reference's."""
        own = dict(self.backend.run(x, list(self.operations)), **{INPUT: x})
        for op in self.operations.values():
            check = self.layers[op.name]
            inputs = [own[name] for name in op.inputs]
            result, truth = own[op.name], run_operation(op, *inputs)
            if self.kinds[op.name] == 'sign':
                check.backend_wrong += int((result != truth).sum())
                continue
            size = magnitude(op, *map(np.abs, inputs))
            check.backend_error = max(
                check.backend_error,
                in_tolerances(
                    result.astype(np.float64) - truth,
                    BACKEND_TOLERANCE * size))

    def _compare_free(self, x: np.ndarray, given) -> None:
        """Predictions, and where signs first differ."""
        signs = [
            op for op in self.operations.values()
            if isinstance(op, ops.Sign) and op.name in given
        ]
        output = self.program.output
        names = {output, *(op.name for op in signs)}
        names |= {op.inputs[0] for op in signs} - {INPUT}
        own = dict(self.backend.run(x, sorted(names)), **{INPUT: x})
        logits = [y.reshape(len(x), -1) for y in (given[output], own[output])]
        predictions = [y.argmax(1) for y in logits]
        other = predictions[0] != predictions[1]
        flipped = np.zeros(len(x), bool)
        for op in signs:
            flips = given[op.name] != own[op.name]
            flipped |= flips.reshape(len(x), -1).any(1)
        report = self.report
        for i in np.flatnonzero(other):
            report.differences.append(
                Difference(report.images + int(i), int(predictions[0][i]),
                           int(predictions[1][i]),
                           *self._explain(i, signs, given, own)))
        report.images += len(x)
        report.equal_predictions += int((~other).sum())
        report.flipped += int(flipped.sum())
        report.largest_logit_difference = max(
            report.largest_logit_difference,
            float(np.abs(logits[0] - logits[1]).max()))

    def _explain(self, i: int, signs, given, own):
        """Layer, number of signs, distance, whether that is rounding, ties."""
        for op in signs:
            others = given[op.name][i:i + 1] != own[op.name][i:i + 1]
            if others.any():
                x = own[op.inputs[0]][i:i + 1]
                distance = _largest(
                    np.abs(x - column(op.threshold, x)), others, x)
                ties = int((others & _is_on(x, op.threshold)).sum())
                return op.name, int(
                    others.sum()), distance, distance <= self.near, ties
        ours, theirs = (y[self.program.output][i] for y in (given, own))
        distance = float(np.abs(ours - theirs).max() / np.abs(ours).max())
        return None, 0, distance, distance <= self.near


def _is_on(x: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Where numbers are on a threshold, or beside it in float32."""
    threshold = column(threshold, x)
    with np.errstate(invalid='ignore'):
        return np.abs(x - threshold) <= np.spacing(np.abs(threshold))


def _is_plain(value) -> bool:
    """Sizes: what a graph knows of shapes."""
    return isinstance(value, (int, torch.Size))


def _largest(distance: np.ndarray, where: np.ndarray, x: np.ndarray) -> float:
    """The largest distance at some places, relative to the largest input."""
    if not where.any():
        return 0.
    return float(distance[where].max() / np.abs(x).max())
