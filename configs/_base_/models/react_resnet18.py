model = dict(
    type='DistilledImageClassifier',
    backbone=dict(type='ReActResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='DistributionalLossHead', num_classes=1000, in_channels=512))
