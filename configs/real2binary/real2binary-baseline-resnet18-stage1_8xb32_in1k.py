# Stage 1 of the strong baseline: binary activations, real weights.
_base_ = [
    '../_base_/models/real2binary_baseline_resnet18.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_75e.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(weight_binarizer='real'))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
_warm_up, _steps = _base_.param_scheduler
param_scheduler = [_warm_up, dict(_steps, gamma=0.1)]
