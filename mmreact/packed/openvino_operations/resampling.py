"""Images in another size."""
from openvino import opset14 as opset

from .. import ops
from .nodes import builds, constant


@builds(ops.Resize)
def resize(op, graph, x):
    sizes = list(zip((0, 1), *graph.sizes(op)))
    if op.bilinear:
        rows, columns = (constant(op.linear(*size)) for size in sizes)
        y = opset.matmul(rows, x, False, False)
        return opset.matmul(y, columns, False, True)
    for axis, size in enumerate(sizes, 2):
        x = opset.gather(x, op.nearest(*size), axis)
    return x
