# Bi-Real Net-50 at a quarter of its width, on Fashion-MNIST.
_base_ = './bireal-resnet18-w16_1xb128_fashion-mnist.py'

model = dict(backbone=dict(depth=50), head=dict(in_channels=512))
