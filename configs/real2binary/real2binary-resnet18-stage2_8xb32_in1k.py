# Stage 2: binary activations, real weights. It starts from stage 1 and is
# taught by it.
_base_ = './real2binary-resnet18-stage1_8xb32_in1k.py'

start_from = dict(config='real2binary-resnet18-stage1_8xb32_in1k.py')
model = dict(
    backbone=dict(activation_binarizer='sign'),
    teacher=dict(
        _delete_=True,
        config='real2binary-resnet18-stage1_8xb32_in1k.py',
        feature_layers=_base_.model.feature_layers))
