# Bi-Real Net-50 as in the authors' script: batch 256, learning rate 5e-4,
# else the recipe of Bi-Real Net-18.
_base_ = './bireal-resnet18_8xb64_in1k.py'

model = dict(backbone=dict(depth=50), head=dict(in_channels=2048))
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=256)
