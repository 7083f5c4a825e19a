from .binary_resnet import BiRealNet, ReActResNet
from .reactnet import ReActNet

__all__ = ['BiRealNet', 'ReActNet', 'ReActResNet']
