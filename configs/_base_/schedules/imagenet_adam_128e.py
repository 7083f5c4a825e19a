# The authors' released script: Adam, batch 256, learning rate 1.25e-3 that
# falls linearly to 0 over 128 epochs. Weight decay reaches convolution
# weights only; decay_shifts=True also decays RSign's and RPReLU's shifts, as
# their code did.
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=1.25e-3, weight_decay=0.),
    constructor='BinaryOptimWrapperConstructor',
    paramwise_cfg=dict(decay_shifts=False))

# Updated each iteration. A dict and not a list, so that a config that
# inherits it can change `end`, together with max_epochs.
param_scheduler = dict(
    type='LinearLR',
    start_factor=1.0,
    end_factor=0.0,
    by_epoch=True,
    begin=0,
    end=128,
    convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=128, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The learning rate is for 8 GPUs with 32 images each.
auto_scale_lr = dict(base_batch_size=256)
