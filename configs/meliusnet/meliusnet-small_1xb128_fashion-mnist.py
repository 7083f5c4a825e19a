# A small MeliusNet of three stages, on Fashion-MNIST.
_base_ = [
    '../_base_/models/meliusnet22.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, blocks=(2, 2, 2), widths=(64, 64)),
        in_channels=1,
        stem_channels=32,
        growth=32),
    head=dict(num_classes=10, in_channels=128))
