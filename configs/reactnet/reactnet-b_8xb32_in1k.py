# Stage 2 of ReActNet-B.
_base_ = './reactnet-b-stage1_8xb32_in1k.py'

start_from = dict(config='reactnet-b-stage1_8xb32_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
