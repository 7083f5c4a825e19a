# Stage 2 of ReActNet on ResNet-18 at a quarter of its width, on
# Fashion-MNIST.
_base_ = './react-resnet18-w16-stage1_1xb128_fashion-mnist.py'

start_from = dict(config='react-resnet18-w16-stage1_1xb128_fashion-mnist.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
