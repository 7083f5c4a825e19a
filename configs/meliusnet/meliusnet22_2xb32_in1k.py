# MeliusNet-22: the authors trained it on 2 GPUs with 32 images each.
_base_ = [
    '../_base_/models/meliusnet22.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/imagenet_radam_120e.py',
    '../_base_/default_runtime.py',
]
