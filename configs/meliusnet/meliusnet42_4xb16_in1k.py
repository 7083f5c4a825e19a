# MeliusNet-42, with the recipe of MeliusNet-22, its batch on 4 GPUs.
_base_ = './meliusnet22_2xb32_in1k.py'

model = dict(backbone=dict(arch=42), head=dict(in_channels=1056))
train_dataloader = dict(batch_size=16)
