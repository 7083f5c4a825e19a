# Stage 1 of ReActNet-B: real 1x1 convolutions with 4 groups double the
# channels.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

model = dict(backbone=dict(arch='b'))
