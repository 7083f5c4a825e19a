# XNOR-Net's ResNet-18 at a quarter of its width, on Fashion-MNIST.
_base_ = [
    '../_base_/models/xnor_resnet18.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(in_channels=1, base_channels=16),
    head=dict(num_classes=10, in_channels=128))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='WeightClipHook', centre=True),
]
