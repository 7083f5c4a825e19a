# MeliusNet-29, with the recipe of MeliusNet-22.
_base_ = './meliusnet22_2xb32_in1k.py'

model = dict(backbone=dict(arch=29), head=dict(in_channels=640))
