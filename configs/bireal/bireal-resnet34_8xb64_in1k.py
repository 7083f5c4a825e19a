# Bi-Real Net-34, with the recipe of Bi-Real Net-18.
_base_ = './bireal-resnet18_8xb64_in1k.py'

model = dict(backbone=dict(depth=34))
