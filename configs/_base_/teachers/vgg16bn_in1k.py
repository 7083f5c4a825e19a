# MMPretrain's VGG-16 with BN and its published weights: 73.74 % top-1 on
# ImageNet (published by MMPretrain). It is downloaded when training starts. A
# config takes it with `model = dict(teacher=_base_.teacher)`. Any config can
# be named so: without a `checkpoint` the teacher is trained first.
teacher = dict(
    config='vgg/vgg16bn_8xb32_in1k.py',
    checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/'
    'vgg16_bn_batch256_imagenet_20210208-7e55cd29.pth')
