"""The reference backend: the contracts of :mod:`.ops` in plain numpy.

Slow, and simple enough to believe. Sums of real numbers are made in float64
and rounded to float32 once for each operation.
"""
from typing import Dict, Iterable

import numpy as np

from . import ops
from .forks import ForkGate
from .program import INPUT, Program
from .reference_operations import FUNCTIONS
from .slices import Slices

#: A fork waits for the operation that another thread is at: the threads and
#: locks of numpy's BLAS do not survive it.
GATE = ForkGate()


class ReferenceBackend:
    """Runs a program operation by operation.

    Real values are float32 arrays, signs int8 arrays of +1 and -1.
    """
    name = 'reference'

    def __init__(self, program: Program, threads=None):
        self.program = program
        self._slices = Slices(program, 1)

    def __reduce__(self):
        return type(self), (self.program, )

    def run(self, x: np.ndarray,
            names: Iterable[str]) -> Dict[str, np.ndarray]:
        """Compute the results of the named operations.

        Args:
            x (ndarray): ``(N, C, H, W)`` float32, normalised.
            names (Iterable[str]): Operations.
        """
        self.program.infer(x.shape[1:], x.shape[0])
        return self._slices.run(self._run, x, names)

    def _run(self, x: np.ndarray,
             names: Iterable[str]) -> Dict[str, np.ndarray]:
        wanted, results = list(names), {INPUT: x}
        last_use = {
            source: op.name
            for op in self.program.operations
            for source in op.inputs
        }
        for op in self.program.operations:
            results[op.name] = run_operation(
                op, *(results[source] for source in op.inputs))
            for source in set(op.inputs):
                if last_use[source] == op.name and source not in wanted:
                    del results[source]
        return {name: results[name] for name in wanted}


def run_operation(op: ops.Operation, *inputs: np.ndarray) -> np.ndarray:
    """Compute one operation; real results in float32, signs in int8."""
    with GATE:
        y = FUNCTIONS[type(op)](op, *inputs)
    return y if y.dtype == np.int8 else y.astype(np.float32)
