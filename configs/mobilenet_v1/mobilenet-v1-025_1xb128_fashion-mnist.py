# MobileNetV1 at a quarter of its width, on Fashion-MNIST.
_base_ = [
    '../_base_/models/mobilenet_v1.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(widen_factor=0.25, in_channels=1),
    head=dict(num_classes=10, in_channels=256))
