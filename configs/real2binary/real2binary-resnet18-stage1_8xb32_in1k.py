# Stage 1: real weights and tanh in the place of the sign, taught by a real
# ResNet-18.
_base_ = [
    '../_base_/models/real2binary_resnet18.py',
    '../_base_/teachers/resnet18_in1k.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_75e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(activation_binarizer='tanh', weight_binarizer='real'),
    teacher=dict(
        feature_layers=[
            f'backbone.layer{i}.{j}' for i in range(1, 5) for j in (0, 1)
        ],
        **_base_.teacher))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
