"""Images in another size."""
import numpy as np

from .. import ops
from .table import implements


@implements(ops.Resize)
def resize(op, x):
    kind = 'sign' if x.dtype == np.int8 else 'real'
    sizes = zip((0, 1), x.shape[2:],
                op.infer(ops.Value(kind, x.shape)).shape[2:])
    if op.bilinear:
        rows, columns = (op.linear(*size) for size in sizes)
        return rows @ x.astype(np.float64) @ columns.T
    rows, columns = (op.nearest(*size) for size in sizes)
    return x[:, :, rows][:, :, :, columns]
