# Stage 2 at a quarter of the width, on Fashion-MNIST: binary activations.
_base_ = './real2binary-resnet18-w16-stage1_1xb128_fashion-mnist.py'

start_from = dict(
    config='real2binary-resnet18-w16-stage1_1xb128_fashion-mnist.py')
model = dict(
    backbone=dict(activation_binarizer='sign'),
    teacher=dict(
        config='real2binary-resnet18-w16-stage1_1xb128_fashion-mnist.py',
        feature_layers=_base_.model.feature_layers))
