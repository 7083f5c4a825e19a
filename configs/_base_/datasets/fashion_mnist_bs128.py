# Fashion-MNIST, 28x28 grey images padded to 32x32. Prepare it with
# tools/dataset_converters/prepare_fashion_mnist.py.
dataset_type = 'FashionMNIST'
data_root = 'data/fashion_mnist'
# Mean and std over the 60,000 training images, pixels from 0 to 255
data_preprocessor = dict(num_classes=10, mean=[72.94], std=[90.02])

# 2 pixels on each side give 32x32, so that nothing is left to crop. (Pad and
# CenterCrop pad on the right and at the bottom only.)
pad = dict(type='RandomCrop', crop_size=32, padding=2)
train_pipeline = [
    dict(type='SeedAugmentation'),
    pad,
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    pad,
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=256,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        # Without it MMPretrain reads the training images.
        test_mode=True,
        pipeline=test_pipeline))
val_evaluator = dict(type='Accuracy', topk=(1, 5))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
