# Fashion-MNIST with images shifted by up to 2 pixels, for longer trainings.
_base_ = './fashion_mnist_bs128.py'

train_pipeline = [
    dict(type='SeedAugmentation'),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
