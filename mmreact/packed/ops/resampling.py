"""Images in another size."""
from typing import Optional, Tuple

import numpy as np

from .operation import MAX_SIZE, Operation, Pair, Value, operation


@operation
class Resize(Operation):
    """Nearest or ``bilinear`` interpolation without antialiasing.

    The result has ``size`` rows and columns or, where that is (0, 0),
    ``floor(n factor)`` for the factors ``vertical`` and ``horizontal``. Row
    ``i`` of ``n'`` lies at ``s i`` for nearest, with ``s`` being ``n / n'`` or
    ``1 / factor`` in float32, and is row ``floor(s i)``, multiplied in
    float32, but at most ``n - 1``. For bilinear it lies at
    ``max(0, s (i + 1/2) - 1/2)``, with ``align_corners`` at
    ``i (n - 1) / (n' - 1)``, between two rows that are weighted by their
    distances; beyond the last row it is that. Where ``n'`` is ``n`` every row
    stays. Columns alike.
    """
    accepts = ('real', 'sign')

    size: Pair = (0, 0)
    vertical: float = 0.0
    horizontal: float = 0.0
    bilinear: bool = False
    align_corners: bool = False

    def check(self):
        super().check()
        if self.size == (0, 0):
            self.require(0 < min(self.factors) <= max(self.factors) < MAX_SIZE,
                         lambda: f'has factors {self.factors}')
        else:
            self.require(
                min(self.size) > 0 and self.factors == (0, 0),
                lambda: f'has size {self.size} and factors {self.factors}')
        self.require(self.bilinear or not self.align_corners,
                     'has align_corners without bilinear')

    @property
    def factors(self) -> Tuple[float, float]:
        return self.vertical, self.horizontal

    def _infer(self, x):
        self.require_image(x)
        size = self.size
        if size == (0, 0):
            size = tuple(int(n * f) for n, f in zip(x.shape[2:], self.factors))
        kind = 'real' if self.bilinear else x.kind
        return Value(kind, (*x.shape[:2], *size))

    def nearest(self, axis: int, size: int, out: int) -> np.ndarray:
        """Which of ``size`` rows (0) or columns (1) each of ``out`` is."""
        if out == size:
            return np.arange(out)
        step = np.float32(self._step(axis, size, out))
        at = np.floor(np.arange(out, dtype=np.float32) * step)
        return np.minimum(at.astype(np.int64), size - 1)

    def linear(self, axis: int, size: int, out: int) -> np.ndarray:
        """``(out, size)`` weights of rows or columns, in float64."""
        matrix, i = np.zeros((out, size)), np.arange(out)
        at = i.astype(np.float64)
        if out != size and self.align_corners:
            at *= (size - 1) / max(out - 1, 1)
        elif out != size:
            at = np.maximum((at + 0.5) * self._step(axis, size, out) - 0.5, 0)
        first = np.minimum(at.astype(np.int64), size - 1)
        weight = np.minimum(at - first, 1)
        matrix[i, first] = 1 - weight
        matrix[i, np.minimum(first + 1, size - 1)] += weight
        return matrix

    def _step(self, axis: int, size: int, out: int) -> float:
        factor: Optional[float] = self.factors[axis]
        if factor:
            return 1 / factor
        return float(np.float32(size) /
                     np.float32(out)) if (not self.bilinear) else size / out
