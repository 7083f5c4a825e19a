model = dict(
    type='ImageClassifier',
    backbone=dict(type='BNNResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='BinaryLinearClsHead',
        num_classes=1000,
        in_channels=512,
        norm_features=True))
