"""Pure torch functions: the mathematics of 1-bit networks."""
from .activations import rprelu, rsign
from .binarizers import (WEIGHT_BINARIZERS, WeightBinarizer,
                         get_weight_binarizer)
from .conv import binary_conv2d, binary_linear
from .estimators import ESTIMATORS, at_progress, get_estimator, sign
from .losses import (ATTENTION_NORMS, attention_transfer_loss,
                     check_attention_norm, distillation_loss,
                     distributional_loss)

__all__ = [
    'ATTENTION_NORMS', 'ESTIMATORS', 'WEIGHT_BINARIZERS', 'WeightBinarizer',
    'at_progress', 'attention_transfer_loss', 'binary_conv2d', 'binary_linear',
    'check_attention_norm', 'distillation_loss', 'distributional_loss',
    'get_estimator', 'get_weight_binarizer', 'rprelu', 'rsign', 'sign'
]
