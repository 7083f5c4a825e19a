# Real-to-Binary as reimplemented in larq zoo: Adam, batch 256, 75 epochs, the
# learning rate rises for 5 and falls after 40, 60 and 70. Weight decay reaches
# convolution weights only.
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=1e-3, weight_decay=0.),
    constructor='BinaryOptimWrapperConstructor')

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='MultiStepLR', by_epoch=True, milestones=[40, 60, 70], gamma=0.3),
]

train_cfg = dict(by_epoch=True, max_epochs=75, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The learning rate is for 8 GPUs with 32 images each.
auto_scale_lr = dict(base_batch_size=256)
