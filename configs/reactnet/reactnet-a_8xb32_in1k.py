# Stage 2: binary activations and binary weights, from stage 1's last
# checkpoint, without weight decay.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

start_from = dict(config='reactnet-a-stage1_8xb32_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
