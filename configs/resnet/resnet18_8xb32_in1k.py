# ResNet-18: MMPretrain's model and recipe (SGD, batch 256, learning rate 0.1
# times 0.1 after 30, 60 and 90 of 100 epochs), with our data and runtime.
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    '../_base_/default_runtime.py',
]
