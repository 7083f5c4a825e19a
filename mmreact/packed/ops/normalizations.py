"""Normalizations by what is in the input itself."""
import numpy as np

from .operation import Operation, Value, operation, tensor


@operation
class GroupNorm(Operation):
    """``y = weight[c] (x - m) / sqrt(v + eps) + bias[c]`` (ECCV 2018).

    ``m`` and ``v`` are mean and variance (divided by the number, not by one
    less) over all pixels and the channels of one of ``groups`` groups.
    """
    accepts = ('real', 'sign')

    weight: np.ndarray = tensor()
    bias: np.ndarray = tensor()
    groups: int = 1
    eps: float = 1e-5

    def check(self):
        super().check()
        _check_rows(self)
        self.require(
            len(self.weight) % self.groups == 0,
            lambda: f'has {len(self.weight)} channels in {self.groups} groups')

    def _infer(self, x):
        self.require_channels(x, len(self.weight))
        return Value('real', x.shape)


@operation
class LayerNorm(Operation):
    """``y = weight[c] (x - m) / sqrt(v + eps) + bias[c]`` for each pixel.

    ``m`` and ``v`` are mean and variance over the channels, as in
    :class:`GroupNorm`.
    """
    accepts = ('real', 'sign')

    weight: np.ndarray = tensor()
    bias: np.ndarray = tensor()
    eps: float = 1e-5

    def check(self):
        super().check()
        _check_rows(self)

    def _infer(self, x):
        self.require_channels(x, len(self.weight))
        return Value('real', x.shape)


def _check_rows(op: Operation) -> None:
    op.require(op.weight.shape == op.bias.shape,
               'needs as many weights as biases')


@operation
class Softmax(Operation):
    """``y[c] = exp(x[c]) / sum_k exp(x[k])`` over the channels."""


@operation
class LogSoftmax(Operation):
    """``y[c] = x[c] - log(sum_k exp(x[k]))`` over the channels."""
