# Stage 1 of an ablation: learns from labels, without the distributional loss.
_base_ = [
    '../_base_/models/reactnet_a.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='ImageClassifier',
    backbone=dict(weight_binarizer='real'),
    head=dict(type='LinearClsHead', loss=dict(type='CrossEntropyLoss')))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
