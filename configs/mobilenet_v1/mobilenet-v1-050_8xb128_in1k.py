# MobileNetV1 at 0.5 of its width.
_base_ = './mobilenet-v1_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=0.5), head=dict(in_channels=512))
