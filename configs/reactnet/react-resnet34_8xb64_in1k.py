# Stage 2 of ReActNet on ResNet-34.
_base_ = './react-resnet34-stage1_8xb64_in1k.py'

start_from = dict(config='react-resnet34-stage1_8xb64_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
