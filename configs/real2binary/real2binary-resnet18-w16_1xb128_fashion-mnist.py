# Stage 3 at a quarter of the width, on Fashion-MNIST: all binary.
_base_ = './real2binary-resnet18-w16-stage2_1xb128_fashion-mnist.py'

start_from = dict(
    config='real2binary-resnet18-w16-stage2_1xb128_fashion-mnist.py')
model = dict(
    backbone=dict(weight_binarizer='scaled_sign'),
    head=dict(distillation=dict(loss_weight=0.8), attention=None),
    feature_layers=[],
    teacher=dict(
        config='real2binary-resnet18-w16-stage2_1xb128_fashion-mnist.py',
        feature_layers=[]))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
