model = dict(
    type='DistilledImageClassifier',
    backbone=dict(type='BNext', arch='tiny'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='DistributionalLossHead', num_classes=1000, in_channels=1024))
