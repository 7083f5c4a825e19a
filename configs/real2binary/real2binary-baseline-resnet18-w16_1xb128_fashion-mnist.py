# Stage 2 of the strong baseline at a quarter of its width, on Fashion-MNIST.
_base_ = './real2binary-baseline-resnet18-w16-stage1_1xb128_fashion-mnist.py'

start_from = dict(
    config='real2binary-baseline-resnet18-w16-stage1_1xb128_fashion-mnist.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
