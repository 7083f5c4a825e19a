# MobileNetV1 with GluonCV's recipe, without its lighting noise.
_base_ = [
    '../_base_/models/mobilenet_v1.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_nag_120e.py',
    '../_base_/default_runtime.py',
]

train_pipeline = [
    dict(type='SeedAugmentation'),
    dict(type='LoadImage'),
    dict(type='RandomResizedCrop', scale=224, backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
