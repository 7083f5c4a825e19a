# Stage 1 of ReActNet on ResNet-34, with ResNet-18's recipe.
_base_ = './react-resnet18-stage1_8xb64_in1k.py'

model = dict(backbone=dict(depth=34))
