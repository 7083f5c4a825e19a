# Stage 1 of an ablation: the baseline network with RSign.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

model = dict(backbone=dict(activation='none'))
