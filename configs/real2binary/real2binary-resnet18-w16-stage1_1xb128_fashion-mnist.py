# Stage 1 at a quarter of the width, on Fashion-MNIST: real weights and tanh.
_base_ = [
    '../_base_/models/real2binary_resnet18.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        in_channels=1,
        base_channels=16,
        activation_binarizer='tanh',
        weight_binarizer='real'),
    head=dict(num_classes=10, in_channels=128),
    teacher=dict(
        config='resnet/resnet18-w16_1xb128_fashion-mnist.py',
        feature_layers=[
            f'backbone.layer{i}.{j}' for i in range(1, 5) for j in (0, 1)
        ]))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
