# BNN's ResNet-18, the authors' PyTorch code: batch 256, SGD, learning rate
# 0.1, divided by 10 at epochs 30, 60 and 90; weight decay 1e-4 on everything,
# none from epoch 60 on. It names no end (2,500 epochs by default); here it is
# ten epochs after the last drop.
_base_ = [
    '../_base_/models/bnn_resnet18.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(
    _delete_=True,
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(
        type='MultiStepParamScheduler',
        param_name='weight_decay',
        milestones=[60],
        gamma=0.),
    dict(type='MultiStepLR', milestones=[30, 60, 90], gamma=0.1),
]
train_cfg = dict(max_epochs=100)
custom_hooks = [*_base_.custom_hooks, dict(type='WeightClipHook')]
