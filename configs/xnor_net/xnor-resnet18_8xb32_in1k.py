# XNOR-Net's ResNet-18. From the paper: batch 256, 58 epochs, drops at epochs
# 30 and 40, images resized to a shorter edge of 256 to 480. It prints a
# learning rate of 0.1 and a decay of 0.01 without naming the optimizer; here
# it is Adam, which it names for AlexNet, with the 1e-3 of the authors' AlexNet
# code, and each drop is tenfold: this is ours and not published.
_base_ = [
    '../_base_/models/xnor_resnet18.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

# An (infinitely long, shorter) edge to resize to, drawn between these two.
_scales = [(10**6, 256), (10**6, 480)]
train_pipeline = [
    dict(type='SeedAugmentation'),
    dict(type='LoadImage'),
    dict(
        type='RandomResize', scale=_scales, keep_ratio=True, backend='pillow'),
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# See xnor-alexnet_8xb100_in1k.py for the eps.
optim_wrapper = dict(optimizer=dict(lr=1e-3, eps=1e-17))
param_scheduler = [dict(type='MultiStepLR', milestones=[30, 40], gamma=0.1)]
train_cfg = dict(max_epochs=58)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='WeightClipHook', centre=True),
]
