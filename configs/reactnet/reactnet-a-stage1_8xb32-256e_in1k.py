# The later recipe of AdamBNN (ICML 2021): 256 epochs, weight decay 5e-6 in
# stage 1.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

optim_wrapper = dict(optimizer=dict(weight_decay=5e-6))
param_scheduler = dict(end=256)
train_cfg = dict(max_epochs=256)
