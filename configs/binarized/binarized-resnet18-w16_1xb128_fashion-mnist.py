# MMPretrain's ResNet-18 at a quarter of its width, its convolutions made 1-bit
# but for the first one and those of the shortcuts.
_base_ = '../resnet/resnet18-w16_1xb128_fashion-mnist.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='BinarizedBackbone',
        exclude=['*.downsample.*'],
        backbone=_base_.model.backbone))
