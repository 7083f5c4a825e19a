# Stage 2 of the 120-epoch schedule.
_base_ = './reactnet-a-stage1_8xb32-120e_in1k.py'

start_from = dict(config='reactnet-a-stage1_8xb32-120e_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
