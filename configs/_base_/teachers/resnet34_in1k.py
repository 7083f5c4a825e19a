# MMPretrain's ResNet-34 with its published weights: 73.62 % top-1 on ImageNet
# (published by MMPretrain). It is downloaded when training starts. A config
# takes it with `model = dict(teacher=_base_.teacher)`.
teacher = dict(
    model=dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet',
            depth=34,
            num_stages=4,
            out_indices=(3, ),
            style='pytorch'),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=1000,
            in_channels=512,
            loss=dict(type='CrossEntropyLoss'))),
    checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet34_8xb32_in1k_20210831-f257d4e6.pth')
