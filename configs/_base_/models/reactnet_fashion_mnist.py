# A small ReActNet for 1x32x32 images: 57 thousand parameters.
model = dict(
    type='DistilledImageClassifier',
    backbone=dict(
        type='ReActNet',
        arch=[(32, 2), (64, 2), (64, 1)],
        in_channels=1,
        stem_channels=16),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='DistributionalLossHead', num_classes=10, in_channels=64))
