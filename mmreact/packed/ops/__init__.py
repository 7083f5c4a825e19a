"""The operations of a packed program: each docstring is a contract.

A value is **real** (float32) or **sign** (+1 and -1, stored as bits). Images
are ``(N, C, H, W)``, vectors ``(N, C)``; channels are dimension 1 of both. A
row of constants per channel is a float32 array ``(C, )``.

Rounding: a real result is the exact value of the formula for its float32
inputs, up to the error of summing and multiplying in float32; NaNs and
infinities among the inputs are not covered. A sign is exact: it depends on its
float32 input by the comparison that is written here, and nothing else.

A new operation is a class in a file here and a function in the files of the
same name in ``reference_operations``, ``onnx_operations`` and
``openvino_operations``, next to its C++ in ``csrc``.
"""
from .activations import (ELU, GELU, Clamp, Hardsigmoid, Hardswish, RPReLU,
                          Sigmoid, SiLU, Softplus, Tanh)
from .convolutions import (BinaryConv2d, BinaryLinear, Conv2d, ConvTranspose2d,
                           Linear)
from .elementwise import Abs, Add, Affine, Multiply, Scale, Sign
from .layout import ChannelShuffle, Concat, Crop, Flatten, Pad, Slice
from .normalizations import GroupNorm, LayerNorm, LogSoftmax, Softmax
from .operation import (FLOAT_MAX, MAX_NUMBERS, MAX_PADDING, MAX_SIZE,
                        OPERATIONS, Operation, Pair, ProgramError, Value,
                        kind_of, operation, tensor, words)
from .pooling import (AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d,
                      ChannelMean, MaxPool2d)
from .resampling import Resize

__all__ = [
    'FLOAT_MAX', 'MAX_NUMBERS', 'MAX_PADDING', 'MAX_SIZE', 'OPERATIONS', 'Abs',
    'AdaptiveMaxPool2d', 'ChannelShuffle', 'ConvTranspose2d', 'Crop',
    'GroupNorm', 'LayerNorm', 'LogSoftmax', 'Pad', 'Resize', 'Softmax',
    'AdaptiveAvgPool2d', 'Add', 'Affine', 'AvgPool2d', 'BinaryConv2d',
    'BinaryLinear', 'ChannelMean', 'Clamp', 'Concat', 'Conv2d', 'ELU',
    'Flatten', 'GELU', 'Hardsigmoid', 'Hardswish', 'Linear', 'MaxPool2d',
    'Multiply', 'Operation', 'Pair', 'ProgramError', 'RPReLU', 'Scale', 'SiLU',
    'Sigmoid', 'Sign', 'Slice', 'Softplus', 'Tanh', 'Value', 'kind_of',
    'operation', 'tensor', 'words'
]
