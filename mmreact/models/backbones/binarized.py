"""Any backbone with 1-bit layers in the place of its real ones."""
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from ...layers import binarize


@MODELS.register_module()
class BinarizedBackbone(BaseModule):
    """A backbone of MMPretrain after :func:`mmreact.binarize`.

    What became of each layer is in ``report``.

    Args:
        backbone (dict): Config of a backbone. Its ``init_cfg`` is applied
            before it is binarized, so that pretrained real weights become
            latent weights.
        **options: Of :func:`mmreact.binarize`. ``skip_last`` defaults to
            False: the network's last layer is in the head.

    Shape:
        As the backbone.

    Raises:
        ValueError: See :func:`mmreact.binarize`.
    """

    def __init__(self, backbone: dict, **options):
        super().__init__()
        self.config = dict(backbone)
        self.options = dict(dict(skip_last=False), **options)
        self.net, self.report = binarize(
            MODELS.build(self.config), **self.options)

    def init_weights(self) -> None:
        """Initialise the real backbone and take its weights over."""
        source = MODELS.build(self.config)
        source.init_weights()
        self.net.load_state_dict(
            binarize(source, **self.options).model.state_dict())

    def forward(self, x: Tensor):
        return self.net(x)
