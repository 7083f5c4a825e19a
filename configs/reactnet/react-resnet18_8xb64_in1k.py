# Stage 2 of ReActNet on ResNet-18.
_base_ = './react-resnet18-stage1_8xb64_in1k.py'

start_from = dict(config='react-resnet18-stage1_8xb64_in1k.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
