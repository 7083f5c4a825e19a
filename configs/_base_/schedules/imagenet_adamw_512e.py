# BNext's authors: AdamW, batch 512, learning rate 1e-3 after 5 epochs of
# warm-up, then a cosine over 512 epochs. Convolution weights, thresholds and
# blends decay by 1e-8 (times the learning rate, as AdamW does), the rest,
# normalisation layers and biases included, by 1e-3.
_free = dict(decay_mult=1e-5)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-3),
    paramwise_cfg=dict(
        custom_keys={
            'stem.0.weight': _free,
            'conv.weight': _free,
            'gate.reduce.weight': _free,
            'gate.expand.weight': _free,
            'sign.alpha': _free,
            'mix.scale': _free,
        }),
    clip_grad=dict(max_norm=5))

# Both are updated each iteration.
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-7,
        by_epoch=True,
        begin=5,
        end=512,
        convert_to_iter_based=True)
]

train_cfg = dict(by_epoch=True, max_epochs=512, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The learning rate is for 8 GPUs with 64 images each.
auto_scale_lr = dict(base_batch_size=512)
