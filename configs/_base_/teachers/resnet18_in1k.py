# MMPretrain's ResNet-18 with its published weights: 69.90 % top-1 on ImageNet
# (published by MMPretrain).
_base_ = './resnet34_in1k.py'

teacher = dict(
    model=dict(backbone=dict(depth=18)),
    checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet18_8xb32_in1k_20210831-fbbb1da6.pth')
