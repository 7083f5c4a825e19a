# Stage 1 on Fashion-MNIST: binary activations, real weights.
_base_ = [
    '../_base_/models/reactnet_fashion_mnist.py',
    '../_base_/datasets/fashion_mnist_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(weight_binarizer='real'),
    teacher=dict(config='resnet/resnet18-w16_1xb128_fashion-mnist.py'))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
