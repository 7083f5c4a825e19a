# Stage 2 of the ablation 'rsign'.
_base_ = './reactnet-a-rsign-stage1_8xb32_in1k.py'

start_from = dict(config='reactnet-a-rsign-stage1_8xb32_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
