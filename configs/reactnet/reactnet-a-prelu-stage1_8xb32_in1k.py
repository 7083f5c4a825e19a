# Stage 1 of an ablation: the baseline network with PReLU.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

model = dict(backbone=dict(rsign=False, activation='prelu'))
