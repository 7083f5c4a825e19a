# Bi-Real Net-152, with the recipe of Bi-Real Net-50: none of its own is known.
_base_ = './bireal-resnet50_8xb32_in1k.py'

model = dict(backbone=dict(depth=152))
