# Stage 1 of an ablation: channels doubled by one 1-bit convolution
# without a shortcut instead of by duplication and concatenation.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

model = dict(backbone=dict(expansion='conv'))
