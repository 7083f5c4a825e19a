# The features are vectors: no neck.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='BNNAlexNet'),
    neck=None,
    head=dict(type='BinaryLinearClsHead', num_classes=1000, in_channels=4096))
