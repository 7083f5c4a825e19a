# BNN's AlexNet, the authors' PyTorch code: batch 256, Adam, learning rate
# 5e-3, 1e-3 from epoch 20 on, 5e-4 from 30, 1e-4 from 35, 1e-5 from 40. It
# names no end (2,500 epochs by default); here it is ten epochs after the last
# drop.
_base_ = [
    '../_base_/models/bnn_alexnet.py',
    '../_base_/datasets/imagenet_bs32_crop.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[20, 35], gamma=0.2),
    dict(type='MultiStepLR', milestones=[30], gamma=0.5),
    dict(type='MultiStepLR', milestones=[40], gamma=0.1),
]
train_cfg = dict(max_epochs=50)
custom_hooks = [*_base_.custom_hooks, dict(type='WeightClipHook')]
