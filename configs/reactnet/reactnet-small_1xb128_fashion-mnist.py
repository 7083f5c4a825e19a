# Stage 2 on Fashion-MNIST: binary activations and binary weights.
_base_ = './reactnet-small-stage1_1xb128_fashion-mnist.py'

start_from = dict(config='reactnet-small-stage1_1xb128_fashion-mnist.py')
model = dict(backbone=dict(weight_binarizer='scaled_sign'))
optim_wrapper = dict(optimizer=dict(weight_decay=0.))
