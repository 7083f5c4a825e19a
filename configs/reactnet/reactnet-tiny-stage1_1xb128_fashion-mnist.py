# Stage 1 of the network that comes with the package: binary activations.
_base_ = [
    '../_base_/models/reactnet_tiny.py',
    '../_base_/datasets/fashion_mnist_shift_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(weight_binarizer='real'),
    teacher=dict(
        config='resnet/resnet18-cifar-w16_1xb128-20e_fashion-mnist.py'))
optim_wrapper = dict(optimizer=dict(lr=3e-3, weight_decay=1e-5))
param_scheduler = dict(end=8)
train_cfg = dict(max_epochs=8)
