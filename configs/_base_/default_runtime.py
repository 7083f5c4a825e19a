custom_imports = dict(
    imports=['mmreact.models', 'mmreact.engine'], allow_failed_imports=False)
default_scope = 'mmpretrain'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Two checkpoints are kept; each is written whole or not at all, and read
    # back before an old one is removed.
    checkpoint=dict(
        type='VerifiedCheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        backend_args=dict(backend='atomic')),
    # Here and not among custom_hooks, a list that configs replace.
    non_finite=dict(type='NonFiniteHook'),
    progress=dict(type='ProgressHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    # Off. See docs/watching_training.md.
    binary_stats=dict(type='BinaryStatsHook', interval=0),
)
custom_hooks = [
    dict(type='StrictLoadHook'),
    dict(type='ReproducibilityHook'),
    dict(type='OPsCounterHook'),
    # Averages BN statistics over processes, so that what is validated is what
    # is saved.
    dict(type='SyncBuffersHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)

log_level = 'INFO'
load_from = None
resume = False

# A seed of None is drawn once, recorded in the work directory and used again
# when training resumes.
randomness = dict(seed=None, deterministic=False)
