# A short run on a CPU: Adam, learning rate linearly to 0.
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=5e-3, weight_decay=0.),
    constructor='BinaryOptimWrapperConstructor')
param_scheduler = dict(
    type='LinearLR',
    start_factor=1.0,
    end_factor=0.0,
    by_epoch=True,
    begin=0,
    end=2,
    convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
