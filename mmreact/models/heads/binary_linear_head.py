"""The 1-bit classifier of binarized neural networks."""
from typing import Optional

from mmcv.cnn import build_norm_layer
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.registry import MODELS
from torch import nn

from ...functional.estimators import Estimator
from ...layers import BinaryLinear, RSign


@MODELS.register_module()
class BinaryLinearClsHead(LinearClsHead):
    """MMPretrain's linear head with a 1-bit layer (BNN, NIPS 2016).

    ``logits = BN(W_b sign(x))``. Without the BN the logits would be whole
    numbers up to the number of channels, too large for a softmax.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the features.
        norm_features (bool): ``x <- hardtanh(BN(x))`` before the sign, for
            features that come from a pooling. Defaults to False.
        weight_binarizer (str): A key of
            :data:`mmreact.functional.WEIGHT_BINARIZERS`. Defaults to 'sign'.
        estimator (str | dict): Pseudo-gradient of the sign. Defaults to
            'clip'.
        norm_cfg (dict): Defaults to ``dict(type='BN1d')``.
        init_cfg (dict, optional): Defaults to None: torch's initial weights.
        **kwargs: Of :class:`mmpretrain.models.heads.LinearClsHead`.

    Shape:
        The last of the features ``(N, in_channels)`` -> ``(N, num_classes)``.

    Raises:
        ValueError: For an unknown binarizer or estimator, or no classes.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 norm_features: bool = False,
                 weight_binarizer: str = 'sign',
                 estimator: Estimator = 'clip',
                 norm_cfg: dict = dict(type='BN1d'),
                 init_cfg: Optional[dict] = None,
                 **kwargs):
        super().__init__(num_classes, in_channels, init_cfg=init_cfg, **kwargs)
        self.fc = nn.Sequential()
        if norm_features:
            self.fc.append(build_norm_layer(norm_cfg, in_channels)[1])
            self.fc.append(nn.Hardtanh())
        self.fc.append(RSign(in_channels, estimator, learnable=False))
        self.fc.append(
            BinaryLinear(
                in_channels, num_classes, weight_binarizer=weight_binarizer))
        self.fc.append(build_norm_layer(norm_cfg, num_classes)[1])
