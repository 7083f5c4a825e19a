# The paper's schedule: 600k iterations at batch 256 (119.9 epochs), learning
# rate 5e-4.
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = dict(end=120)
train_cfg = dict(max_epochs=120)
