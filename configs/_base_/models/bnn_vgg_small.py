# For 32x32 images. The features are vectors: no neck. The last BN has no
# weight and bias, as in the authors' PyTorch code.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='BNNVGG'),
    neck=None,
    head=dict(
        type='BinaryLinearClsHead',
        num_classes=10,
        in_channels=1024,
        norm_cfg=dict(type='BN1d', affine=False)))
