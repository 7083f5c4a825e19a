# The small ReActNet's real-valued counterpart, on Fashion-MNIST.
_base_ = './reactnet-small-stage1_1xb128_fashion-mnist.py'

model = dict(backbone=dict(activation_binarizer='real'))
optim_wrapper = dict(paramwise_cfg=dict(decay_shifts=True))
