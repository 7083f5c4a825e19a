"""Images in another size."""
from math import frexp

import numpy as np

from .. import ops
from .nodes import builds


def is_for_one_size(op: ops.Operation) -> bool:
    """Whether the nodes of an operation depend on the size of its image.

    By a power of two every engine computes the same places of pixels.
    """
    return isinstance(op, ops.Resize) and (op.align_corners or any(
        frexp(factor)[0] != 0.5 for factor in op.factors))


@builds(ops.Resize)
def resize(op, graph, x):
    sizes = list(zip((0, 1), *graph.sizes(op)))
    if not is_for_one_size(op):
        options = dict(
            mode='linear', coordinate_transformation_mode='half_pixel')
        if not op.bilinear:
            options = dict(
                mode='nearest',
                coordinate_transformation_mode='asymmetric',
                nearest_mode='floor')
        scales = np.array([1, 1, *op.factors], np.float32)
        return graph.add('Resize', x, '', scales, **options)
    if op.bilinear:
        rows, columns = (op.linear(*s).astype(np.float32) for s in sizes)
        return graph.add('MatMul', graph.add('MatMul', rows, x), columns.T)
    for axis, size in enumerate(sizes, 2):
        x = graph.add('Gather', x, op.nearest(*size), axis=axis)
    return x
