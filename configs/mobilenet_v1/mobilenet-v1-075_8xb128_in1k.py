# MobileNetV1 at 0.75 of its width.
_base_ = './mobilenet-v1_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=0.75), head=dict(in_channels=768))
