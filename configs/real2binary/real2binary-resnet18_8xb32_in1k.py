# Stage 3: binary activations and binary weights, without attention transfer
# and weight decay. It starts from stage 2 and is taught by it.
_base_ = './real2binary-resnet18-stage2_8xb32_in1k.py'

start_from = dict(config='real2binary-resnet18-stage2_8xb32_in1k.py')
model = dict(
    backbone=dict(weight_binarizer='scaled_sign'),
    head=dict(distillation=dict(loss_weight=0.8), attention=None),
    feature_layers=[],
    teacher=dict(
        config='real2binary-resnet18-stage2_8xb32_in1k.py', feature_layers=[]))
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=0.))
