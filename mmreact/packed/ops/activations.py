"""Activation functions, number by number."""
import numpy as np

from .operation import FLOAT_MAX, Operation, operation, tensor


@operation
class RPReLU(Operation):
    """``y = x - gamma + zeta if x > gamma else beta (x - gamma) + zeta``,
    all per channel (ReActNet, ECCV 2020). PReLU has gamma = zeta = 0.
    """
    gamma: np.ndarray = tensor()
    beta: np.ndarray = tensor()
    zeta: np.ndarray = tensor()

    def check(self):
        super().check()
        self.require(self.gamma.shape == self.beta.shape == self.zeta.shape,
                     'needs as many gammas, betas and zetas')

    def _infer(self, x):
        self.require_channels(x, len(self.gamma))
        return x


@operation
class Clamp(Operation):
    """``y = min(max(x, low), high)``: ReLU, ReLU6, hardtanh.

    Both are rounded to float32; of the largest magnitude, 3.4028235e38, they
    are no bounds.
    """
    low: float = 0.0
    high: float = FLOAT_MAX

    def check(self):
        super().check()
        self.require(self.low <= self.high, 'has low > high')


@operation
class Sigmoid(Operation):
    """``y = 1 / (1 + exp(-x))``."""


@operation
class Tanh(Operation):
    """``y = tanh(x)``."""


@operation
class Hardsigmoid(Operation):
    """``y = min(max(x + 3, 0), 6) / 6`` (MobileNetV3, ICCV 2019)."""


@operation
class Hardswish(Operation):
    """``y = x min(max(x + 3, 0), 6) / 6`` (MobileNetV3, ICCV 2019)."""


@operation
class SiLU(Operation):
    """``y = x / (1 + exp(-x))``, also called Swish."""


@operation
class GELU(Operation):
    """``y = x (1 + erf(x / sqrt(2))) / 2`` (Hendrycks and Gimpel, 2016).

    With ``approximate`` it is the usual approximation
    ``y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``.
    """
    approximate: bool = False


@operation
class ELU(Operation):
    """``y = x if x > 0 else alpha (exp(x) - 1)``.

    ``alpha`` is rounded to float32.
    """
    alpha: float = 1.0


@operation
class Softplus(Operation):
    """``y = log(1 + exp(x))``."""
