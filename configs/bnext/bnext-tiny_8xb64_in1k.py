# BNext-T in one stage, with the authors' augmentation and schedule. Of their
# recipe are missing: the second teacher (EfficientNet-B0) and the weighting of
# the two, and the gradual binarization of the weights.
_base_ = [
    '../_base_/models/bnext_tiny.py',
    '../_base_/teachers/efficientnet_b2_in1k.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adamw_512e.py',
    '../_base_/default_runtime.py',
]

model = dict(teacher=_base_.teacher)

train_pipeline = [
    dict(type='SeedAugmentation'),
    dict(type='LoadImage'),
    dict(
        type='RandomResizedCrop',
        scale=224,
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=7,
        magnitude_std=0.5,
        hparams=dict(pad_val=[124, 116, 104], interpolation='bicubic')),
    dict(type='PackInputs'),
]
# 224 / 0.95 = 235.8
test_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='ResizeEdge',
        scale=236,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
