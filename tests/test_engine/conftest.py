"""Two stages of a very small network, trained in this process or others."""
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: 4 iterations an epoch, 3 epochs; validation after each.
STAGE = '''
_base_ = {base!r}
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ReActNet', arch=[(16, 2), (16, 1)], in_channels=1,
                  stem_channels=8, weight_binarizer={binarizer!r}),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=16,
              loss=dict(type='CrossEntropyLoss')))
data_preprocessor = dict(num_classes=10, mean=[72.94], std=[90.02])
pipeline = [
    dict(type='SeedAugmentation'),
    dict(type='RandomCrop', crop_size=28, padding=4),
    dict(type='PackInputs')]
dataset = dict(type='FashionMNIST', data_root={data!r}, split='train',
               pipeline=pipeline, indices=32, serialize_data=False)
train_dataloader = dict(
    batch_size=8, num_workers=0, dataset=dataset,
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=32, num_workers=0, dataset=dict(
        type='FashionMNIST', data_root={data!r}, split='test', test_mode=True,
        pipeline=[dict(type='PackInputs')], indices=32, serialize_data=False),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, 5))
train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-3),
                     constructor='BinaryOptimWrapperConstructor')
param_scheduler = dict(type='LinearLR', start_factor=1., end_factor=0.,
                       by_epoch=True, begin=0, end=3,
                       convert_to_iter_based=True)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=3, deterministic=True)
'''


@pytest.fixture(scope='session')
def small_configs(tiny_data, tmp_path_factory) -> Path:
    """A folder with one.py and two.py, which starts from one.py."""
    folder = tmp_path_factory.mktemp('small_configs')
    base = str(ROOT / 'configs/_base_/default_runtime.py')
    for name, binarizer in (('one', 'real'), ('two', 'scaled_sign')):
        text = STAGE.format(
            base=base, binarizer=binarizer, data=str(tiny_data))
        if name == 'two':
            text += "start_from = dict(config='one.py')\n"
        (folder / f'{name}.py').write_text(text)
    return folder


def train_small(folder, work_dir, name='two', resume=None, **options):
    """Train a config of a folder in this process, as tools/train.py does."""
    from mmreact.engine.stages import Options, make_plan, train, train_plan
    options = Options.from_flags(cfg_options=options)
    with pytest.MonkeyPatch.context() as patch:
        # Half of the time: the layout of configs, and looking for garbage.
        for place in ('mmengine.config.config', 'yapf.yapflib.yapf_api'):
            # The forks import it where they use it.
            patch.setattr(
                f'{place}.FormatCode',
                lambda text, **kwargs: (text, False),
                raising=False)
        patch.setattr(train, 'gc', SimpleNamespace(collect=lambda: None))
        plan = make_plan(folder / f'{name}.py', work_dir, options)
        return train_plan(plan, resume=resume)


@pytest.fixture(scope='session')
def small_train(small_configs):
    """``train(work_dir, name='two', resume=None, **cfg_options)``."""
    return partial(train_small, small_configs)


@pytest.fixture(scope='session')
def small_trained(small_configs, tmp_path_factory) -> Path:
    """The work directory of one.py; its last two checkpoints are there."""
    work_dir = tmp_path_factory.mktemp('small_trained')
    train_small(small_configs, work_dir, 'one')
    return work_dir
