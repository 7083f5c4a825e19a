# Its real-valued counterpart, trained for as many epochs as both stages.
_base_ = './reactnet-tiny-stage1_1xb128_fashion-mnist.py'

model = dict(backbone=dict(activation_binarizer='real'))
optim_wrapper = dict(paramwise_cfg=dict(decay_shifts=True))
param_scheduler = dict(end=24)
train_cfg = dict(max_epochs=24)
