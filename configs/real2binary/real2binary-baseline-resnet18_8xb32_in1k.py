# Stage 2 of the strong baseline: binary activations and binary weights.
_base_ = './real2binary-baseline-resnet18-stage1_8xb32_in1k.py'

start_from = dict(config='real2binary-baseline-resnet18-stage1_8xb32_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=0.))
