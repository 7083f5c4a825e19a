"""--auto-scale-lr with the batch size of each recipe."""
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from mmreact.engine.stages import Options

CONFIGS = {
    path.stem: path
    for path in Path(__file__).parents[1].glob('configs/[!_]*/*.py')
}
IMAGENET = [name for name in CONFIGS if name.endswith('_in1k')]


def batch_of_recipe(name):
    """``..._8xb32[-120e]_in1k`` -> 8, 32."""
    gpus, batch = name.split('_')[-2].split('-')[0].split('xb')
    return int(gpus), int(batch)


def scaled(cfg, processes):
    """The learning rates that a Runner trains with, over the config's."""
    init_default_scope('mmpretrain')
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    before, after = (
        build_optim_wrapper(model, cfg.optim_wrapper) for _ in range(2))
    runner = SimpleNamespace(
        world_size=processes,
        _train_dataloader=cfg.train_dataloader,
        param_schedulers=cfg.param_scheduler,
        logger=Mock())
    Runner.scale_lr(runner, after, cfg.auto_scale_lr)
    return [
        new['lr'] / old['lr'] for old, new in zip(
            before.optimizer.param_groups, after.optimizer.param_groups)
    ]


@pytest.mark.parametrize('name', IMAGENET)
def test_scaled_with_the_batch(name):
    """Not at all on as many GPUs as the recipe's, else in proportion."""
    gpus, batch = batch_of_recipe(name)
    cfg = Config.fromfile(CONFIGS[name])
    assert cfg.auto_scale_lr == dict(base_batch_size=gpus * batch)
    assert cfg.train_dataloader.batch_size == batch
    assert set(scaled(cfg, 3)) == {1}  # not without the option
    Options(auto_scale_lr=True).apply(name, cfg)
    for processes in (1, gpus, 2 * gpus):
        assert scaled(cfg, processes) == pytest.approx(
            [processes / gpus] * len(scaled(cfg, 1)), rel=1e-12)


@pytest.mark.parametrize('name',
                         sorted(n for n in CONFIGS if n not in IMAGENET))
def test_elsewhere_too_or_refused(name):
    """A recipe for one process may have no batch to scale from."""
    cfg = Config.fromfile(CONFIGS[name])
    options = Options(auto_scale_lr=True)
    if 'auto_scale_lr' in cfg:
        gpus, batch = batch_of_recipe(name)
        assert cfg.auto_scale_lr.base_batch_size == gpus * batch
        options.apply(name, cfg)
    else:
        with pytest.raises(ValueError, match=f'base_batch_size.*{name}'):
            options.apply(name, cfg)
