# Fine-tune ReActNet-A on a folder of one's own images, with labels instead of
# a teacher. Start from weights with --from CKPT --reset-head.
_base_ = [
    '../_base_/models/reactnet_a.py',
    '../_base_/datasets/custom_bs32.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='ImageClassifier',
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=10,
        in_channels=1024,
        loss=dict(type='CrossEntropyLoss')))
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
param_scheduler = dict(end=20)
train_cfg = dict(max_epochs=20)
val_evaluator = dict(topk=(1, ))
test_evaluator = val_evaluator
