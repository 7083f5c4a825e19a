# MMPretrain's EfficientNet-B2 with the published weights it has converted:
# 79.64 % top-1 on ImageNet at 260x260 (published by MMPretrain). It is
# downloaded when training starts. A config takes it with
# `model = dict(teacher=_base_.teacher)`.
teacher = dict(
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='EfficientNet', arch='b2'),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=1000,
            in_channels=1408,
            loss=dict(type='CrossEntropyLoss'))),
    checkpoint='https://download.openmmlab.com/mmclassification/v0/'
    'efficientnet/efficientnet-b2_3rdparty_8xb32_in1k_20220119-ea374a30.pth')
