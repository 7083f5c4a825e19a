# The strong baseline: learned scales instead of gates, and no teacher.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='RealToBinaryNet', depth=18, scale='learned'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
        loss=dict(type='CrossEntropyLoss')))
