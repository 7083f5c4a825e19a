from .binarized import BinarizedBackbone
from .binary_resnet import BiRealNet, ReActResNet
from .mobilenet_v1 import MobileNetV1
from .reactnet import ReActNet

__all__ = [
    'BiRealNet', 'BinarizedBackbone', 'MobileNetV1', 'ReActNet', 'ReActResNet'
]
