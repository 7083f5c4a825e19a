# A better real-valued teacher: at 16x16 pixels where the other has 8x8.
_base_ = [
    '../_base_/datasets/fashion_mnist_shift_bs128.py',
    '../_base_/schedules/fashion_mnist_adam.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        in_channels=1,
        stem_channels=16,
        base_channels=16,
        strides=(2, 2, 2, 1),
        out_indices=(3, ),
        style='pytorch'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=128,
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))
optim_wrapper = dict(optimizer=dict(lr=3e-3, weight_decay=5e-5))
param_scheduler = dict(end=20)
train_cfg = dict(max_epochs=20)
