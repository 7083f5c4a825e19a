# Stage 1 of ReActNet on ResNet-18 at a quarter of its width, on
# Fashion-MNIST.
_base_ = [
    '../_base_/models/react_resnet18.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(in_channels=1, base_channels=16, weight_binarizer='real'),
    head=dict(num_classes=10, in_channels=128),
    teacher=dict(config='resnet/resnet18-w16_1xb128_fashion-mnist.py'))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
