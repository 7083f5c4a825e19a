# Stage 1 of ReActNet-C: real 1x1 convolutions double the channels.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

model = dict(backbone=dict(arch='c'))
