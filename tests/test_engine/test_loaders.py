"""Loaders without workers have no options of workers."""
import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmreact.engine.loaders import leave_workers_out


@pytest.mark.parametrize('options', [
    dict(persistent_workers=True),
    dict(prefetch_factor=4),
    dict(multiprocessing_context='spawn'),
    dict(persistent_workers=True, prefetch_factor=2),
    dict(persistent_workers=False, timeout=3),
])
@pytest.mark.parametrize('number', [None, 0, 2])
def test_without_workers(options, number):
    options = options if number is None else dict(options, num_workers=number)
    cfg = Config(
        dict(
            train_dataloader=dict(options),
            val_dataloader=None,
            test_dataloader=dict(options)))
    leave_workers_out(cfg)
    assert cfg.val_dataloader is None
    if number == 2:
        assert cfg.train_dataloader == options
    DataLoader([1, 2], **cfg.train_dataloader.to_dict())
    DataLoader([1, 2], **cfg.test_dataloader.to_dict())
