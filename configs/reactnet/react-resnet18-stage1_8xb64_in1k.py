# Stage 1 of ReActNet on ResNet-18: binary activations, real weights. The
# authors' released script: batch 512, learning rate 2.5e-3, 128 epochs.
_base_ = [
    '../_base_/models/react_resnet18.py',
    '../_base_/teachers/resnet34_in1k.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_adam_128e.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(weight_binarizer='real'), teacher=_base_.teacher)
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=2.5e-3, weight_decay=1e-5))
auto_scale_lr = dict(base_batch_size=512)
