# BNN's network for CIFAR-10, the authors' PyTorch code: batch 256, Adam,
# learning rate 5e-3, 1e-3 from epoch 40 on, 5e-4 from 80, 1e-4 from 100, 5e-5
# from 120, 1e-5 from 140. It names no end (2,500 epochs by default); here it
# is ten epochs after the last drop.
_base_ = [
    '../_base_/models/bnn_vgg_small.py',
    '../_base_/datasets/cifar10_bs256.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[40, 100, 140], gamma=0.2),
    dict(type='MultiStepLR', milestones=[80, 120], gamma=0.5),
]
train_cfg = dict(max_epochs=150)
custom_hooks = [*_base_.custom_hooks, dict(type='WeightClipHook')]
