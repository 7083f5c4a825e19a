# Stage 1: binary activations, real weights.
_base_ = [
    '../_base_/models/reactnet_a.py',
    '../_base_/teachers/resnet34_in1k.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(weight_binarizer='real'), teacher=_base_.teacher)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
