# MeliusNet-59: batch 96, learning rate 3e-3, 150 epochs.
_base_ = './meliusnet22_2xb32_in1k.py'

model = dict(backbone=dict(arch=59), head=dict(in_channels=1312))
train_dataloader = dict(batch_size=12)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = dict(end=150)
train_cfg = dict(max_epochs=150)
auto_scale_lr = dict(base_batch_size=96)
