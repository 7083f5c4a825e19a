# A small BNext for 1x32x32 images, with the teacher of the small ReActNet.
_base_ = [
    '../_base_/models/bnext_tiny.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch=[(32, 2), (64, 2), (64, 1)], in_channels=1, stem_channels=32),
    head=dict(num_classes=10, in_channels=64),
    teacher=dict(config='resnet/resnet18-w16_1xb128_fashion-mnist.py'))
