# MeliusNet's authors, as they log it: RAdam with the parameters of their
# framework, batch 64, learning rate 2e-3 that falls with a cosine to 0 over
# 120 epochs, no warm-up, no weight decay.
optim_wrapper = dict(
    optimizer=dict(
        type='RAdam', lr=2e-3, betas=(0.95, 0.999), eps=1e-5, weight_decay=0.),
    constructor='BinaryOptimWrapperConstructor')

# Updated each iteration. A dict and not a list, so that a config that
# inherits it can change `end`, together with max_epochs.
param_scheduler = dict(
    type='CosineAnnealingLR',
    eta_min=0.,
    by_epoch=True,
    begin=0,
    end=120,
    convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=120, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The learning rate is for 64 images, on however many GPUs.
auto_scale_lr = dict(base_batch_size=64)
