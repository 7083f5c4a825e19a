"""One network a file. A new one needs an import line here and no more."""
# flake8: noqa: F401
from .binarized import BinarizedBackbone
from .binary_resnet import BiRealNet, ReActResNet
from .bnext import BNext
from .bnn import BNNVGG, BNNAlexNet, BNNResNet
from .meliusnet import MeliusNet
from .mobilenet_v1 import MobileNetV1
from .reactnet import ReActNet
from .real_to_binary import RealToBinaryNet
from .xnor_net import XNORAlexNet, XNORResNet

__all__ = [
    name for name, value in globals().items() if isinstance(value, type)
]
