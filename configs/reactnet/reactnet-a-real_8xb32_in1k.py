# The real-valued counterpart: stage 1 without the signs. Stage 1 can start
# from it (--from) and learn from it (model.teacher).
_base_ = './reactnet-a-stage1_8xb32_in1k.py'

model = dict(backbone=dict(activation_binarizer='real'))
# Without the sign, BN undoes a threshold in front of a 1x1 convolution. It has
# no gradient then but rounding errors, which Adam makes steps of; the decay
# keeps it near 0 for stage 1.
optim_wrapper = dict(paramwise_cfg=dict(decay_shifts=True))
