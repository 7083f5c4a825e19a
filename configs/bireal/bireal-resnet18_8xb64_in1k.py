# Bi-Real Net-18: batch 512, Adam, learning rate 1e-3 linearly to 0 over 256
# epochs, label smoothing 0.1, without a teacher, in one stage.
_base_ = [
    '../_base_/models/bireal_resnet18.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(end=256)
train_cfg = dict(max_epochs=256)
auto_scale_lr = dict(base_batch_size=512)
