# The features are vectors: no neck.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='XNORAlexNet'),
    neck=None,
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=4096,
        loss=dict(type='CrossEntropyLoss')))
