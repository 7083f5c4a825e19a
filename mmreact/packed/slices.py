"""Large batches in slices: signals wait for the end of a call of a backend.

Images do not depend on each other, so a batch gives what its slices give.
Between two of them Python handles signals, Ctrl+C among them.
"""
import os
from functools import lru_cache
from math import prod
from typing import Callable, Dict, Iterable, List, Optional, Tuple

import numpy as np

from .program import INPUT, Program

#: Multiplications of real numbers for each thread of a call, about 20 ms for
#: the fastest kernels. A word of 64 signs counts as one.
WORK = 1 << 30


def image_work(program: Program, shape: Tuple[int, ...]) -> int:
    """Estimate the work for an image.

    Args:
        program (Program): What is run.
        shape (tuple[int]): ``(C, H, W)``.

    Returns:
        int: Numbers that are read and written, and multiplications.
    """
    values = program.infer(shape)
    work = prod(values[INPUT].shape)
    for op in program.operations:
        shapes = [values[name].shape for name in (op.name, *op.inputs)]
        pixels = max(prod(shape[2:]) for shape in shapes)
        weight = op.tensors().get('weight')
        work += sum(map(prod, shapes))
        work += pixels * weight.size if weight is not None else 0
    return work


class Slices:
    """Cuts the batches that a backend gets.

    Args:
        program (Program): What it runs.
        threads (int, optional): How many it uses; all cores by default.
    """

    def __init__(self, program: Program, threads: Optional[int] = None):
        work = WORK * (threads or len(os.sched_getaffinity(0)))
        self._most = lru_cache(maxsize=64)(
            lambda shape: max(1, work // image_work(program, shape)))

    def __call__(self, shape: Tuple[int, ...]) -> List[slice]:
        """Images of each slice, as equal in number as they can be.

        Args:
            shape (tuple[int]): ``(N, C, H, W)``.
        """
        number = shape[0]
        parts = number > 1 and -(-number // self._most(shape[1:]))
        if parts <= 1:
            return [slice(None)]
        ends = [number * i // parts for i in range(parts + 1)]
        return [slice(*pair) for pair in zip(ends, ends[1:])]

    def run(self, run: Callable, x: np.ndarray,
            names: Iterable[str]) -> Dict[str, np.ndarray]:
        """What ``run(x, names)`` gives, slice by slice."""
        names, parts = list(names), self(x.shape)
        if len(parts) == 1:
            return run(x, names)
        results = [run(x[part], names) for part in parts]
        return {
            name: np.concatenate([part[name] for part in results])
            for name in names
        }
