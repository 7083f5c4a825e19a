# ImageNet-1k with the augmentation of AlexNet's time: the shorter edge is
# resized to 256 and 224x224 are cropped anywhere.
_base_ = './imagenet_bs32.py'

train_pipeline = [
    dict(type='SeedAugmentation'),
    dict(type='LoadImage'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
