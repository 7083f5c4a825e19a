"""Poolings."""
from .operation import Operation, Pair, Value, Windows, operation


@operation
class AvgPool2d(Operation, Windows):
    """Mean over windows.

    The sum over a window, with 0 outside the image, is divided by the number
    of its taps that are in the image or, with ``count_include_pad``, in the
    image or its padding. With ``ceil_mode`` the output size is rounded up
    unless the last window would start behind image and leading padding.
    """
    accepts = ('real', 'sign')

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True

    def _infer(self, x):
        self.require_image(x)
        _check_pool_padding(self)
        size = self.window_size(x, self.kernel, self.ceil_mode)
        return Value('real', (*x.shape[:2], *size))


@operation
class MaxPool2d(Operation, Windows):
    """Maximum over windows; the padding is less than every number."""
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    def _infer(self, x):
        self.require_image(x)
        _check_pool_padding(self)
        size = self.window_size(x, self.kernel, self.ceil_mode)
        return Value('real', (*x.shape[:2], *size))


def _check_pool_padding(op: Operation) -> None:
    """As in torch; every window then holds a pixel."""
    op.require(
        all(2 * p <= k for p, k in zip(op.padding, op.kernel)),
        lambda: f'has padding {op.padding} for windows {op.kernel}')


@operation
class AdaptiveAvgPool2d(Operation):
    """Means over ``size`` windows: window i of n spans rows
    ``floor(i H / n)`` to ``ceil((i + 1) H / n)`` (exclusive).
    """
    accepts = ('real', 'sign')

    size: Pair = (1, 1)

    def _infer(self, x):
        self.require_image(x)
        return Value('real', (*x.shape[:2], *self.size))


@operation
class AdaptiveMaxPool2d(Operation):
    """Maxima over the windows of :class:`AdaptiveAvgPool2d`."""
    size: Pair = (1, 1)

    def _infer(self, x):
        self.require_image(x)
        return Value('real', (*x.shape[:2], *self.size))


@operation
class ChannelMean(Operation):
    """Mean over the channels: ``(N, C, H, W)`` -> ``(N, 1, H, W)``."""
    accepts = ('real', 'sign')

    def _infer(self, x):
        self.require_image(x)
        return Value('real', (x.shape[0], 1, *x.shape[2:]))
