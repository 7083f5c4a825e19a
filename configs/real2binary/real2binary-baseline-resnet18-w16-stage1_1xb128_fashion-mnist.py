# Stage 1 of the strong baseline at a quarter of its width, on Fashion-MNIST.
_base_ = [
    '../_base_/models/real2binary_baseline_resnet18.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        in_channels=1,
        base_channels=16,
        input_size=32,
        weight_binarizer='real'),
    head=dict(num_classes=10, in_channels=128))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
