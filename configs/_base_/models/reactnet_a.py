model = dict(
    type='DistilledImageClassifier',
    backbone=dict(type='ReActNet', arch='a'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='DistributionalLossHead', num_classes=1000, in_channels=1024))
