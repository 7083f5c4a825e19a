"""Activation functions."""
from openvino import opset14 as opset

from .. import ops
from .nodes import affine_node, builds, column, constant

#: What reads one value, number by number.
ONE_INPUT = (ops.Affine, ops.Abs, ops.RPReLU, ops.Clamp, ops.Sigmoid, ops.Tanh,
             ops.Hardsigmoid, ops.Hardswish, ops.SiLU, ops.GELU, ops.ELU,
             ops.Softplus)


@builds(ops.RPReLU)
def rprelu(op, graph, x):
    rank = graph.rank(op.name)
    x, slope = affine_node(x, None, -op.gamma, rank), column(op.beta, rank)
    if len(op.beta) > 1:
        y = opset.prelu(x, slope)
    else:  # OpenVINO would move it in front of a maximum pooling.
        below = opset.multiply(opset.minimum(x, constant(0)), slope)
        y = opset.add(opset.relu(x), below)
    return affine_node(y, None, op.zeta, rank)


@builds(ops.Clamp)
def clamp(op, graph, x):
    return opset.clamp(x, op.low, op.high)


@builds(ops.Sigmoid)
def sigmoid(op, graph, x):
    return opset.sigmoid(x)


@builds(ops.Tanh)
def tanh(op, graph, x):
    return opset.tanh(x)


def kept_behind_max_pool(op, graph, x):
    """The input of a function that does not only rise.

    OpenVINO joins functions behind a maximum pooling with the convolution
    before it, also where that changes the result. Of a maximum with a constant
    it does not.
    """
    before = graph.operations.get(op.inputs[0])
    while isinstance(before, ONE_INPUT):
        before = graph.operations.get(before.inputs[0])
    if isinstance(before, ops.MaxPool2d):
        x = opset.maximum(x, constant(-ops.FLOAT_MAX))
    return x


@builds(ops.Hardsigmoid)
def hardsigmoid(op, graph, x):
    return opset.hsigmoid(x)


@builds(ops.Hardswish)
def hardswish(op, graph, x):
    return opset.hswish(kept_behind_max_pool(op, graph, x))


@builds(ops.SiLU)
def silu(op, graph, x):
    return opset.swish(kept_behind_max_pool(op, graph, x))


@builds(ops.GELU)
def gelu(op, graph, x):
    x = kept_behind_max_pool(op, graph, x)
    return opset.gelu(x, 'tanh' if op.approximate else 'erf')


@builds(ops.ELU)
def elu(op, graph, x):
    return opset.elu(kept_behind_max_pool(op, graph, x), op.alpha)


@builds(ops.Softplus)
def softplus(op, graph, x):
    return opset.softplus(x)
