# Stage 2: binary activations and binary weights.
_base_ = './reactnet-tiny-stage1_1xb128_fashion-mnist.py'

start_from = dict(config='reactnet-tiny-stage1_1xb128_fashion-mnist.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
param_scheduler = dict(end=16)
train_cfg = dict(max_epochs=16)
