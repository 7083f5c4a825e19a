# Loss weights and the points of comparison, every second convolution, are
# those of larq zoo's reimplementation.
model = dict(
    type='DistilledImageClassifier',
    backbone=dict(type='RealToBinaryNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='DistillationHead',
        num_classes=1000,
        in_channels=512,
        loss=dict(type='CrossEntropyLoss'),
        distillation=dict(type='DistillationLoss', loss_weight=3.),
        attention=dict(type='AttentionTransferLoss', loss_weight=30.)),
    feature_layers=[
        f'backbone.stages.{i}.{j}' for i in range(4) for j in (1, 3)
    ])
