# BNN's VGG at an eighth of its width, on Fashion-MNIST.
_base_ = [
    '../_base_/models/bnn_vgg_small.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(in_channels=1, widths=(16, 16, 32, 32, 64, 64, 128, 128)),
    head=dict(in_channels=128))
custom_hooks = [*_base_.custom_hooks, dict(type='WeightClipHook')]
