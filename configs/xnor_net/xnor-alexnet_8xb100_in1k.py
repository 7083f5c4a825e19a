# XNOR-Net's AlexNet, the authors' code: batch 800, Adam, learning rate 1e-3,
# 5e-4 from epoch 18 on, 1e-4 from 29, 5e-5 from 43, 1e-5 from 52, 55 epochs.
# Theirs are of 1,500 batches, 94 % of the images.
_base_ = [
    '../_base_/models/xnor_alexnet.py',
    '../_base_/datasets/imagenet_bs32_crop.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=100)
# Under Adam they multiply all gradients by 1e9, so that neither its eps of
# 1e-8 nor a weight decay have an effect. An eps of 1e-17 does the same.
optim_wrapper = dict(optimizer=dict(lr=1e-3, eps=1e-17))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[18, 43], gamma=0.5),
    dict(type='MultiStepLR', milestones=[29, 52], gamma=0.2),
]
train_cfg = dict(max_epochs=55)
auto_scale_lr = dict(base_batch_size=800)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='WeightClipHook', centre=True),
]
