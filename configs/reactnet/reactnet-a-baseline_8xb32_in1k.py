# Stage 2 of the ablation 'baseline'.
_base_ = './reactnet-a-baseline-stage1_8xb32_in1k.py'

start_from = dict(config='reactnet-a-baseline-stage1_8xb32_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
