# GluonCV's recipe for real-valued networks: SGD with Nesterov momentum, batch
# 1024, learning rate 0.4 after 5 epochs of warm-up, then a cosine to 0 at the
# end of 120 epochs; weight decay 1e-4, not on BN and biases.
optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=0.4, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))

# Both are updated each iteration.
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        begin=5,
        end=120,
        convert_to_iter_based=True)
]

train_cfg = dict(by_epoch=True, max_epochs=120, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The learning rate is for 8 GPUs with 128 images each.
auto_scale_lr = dict(base_batch_size=1024)
