import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

import mmreact.models  # noqa: F401, registers
from mmreact.engine.inference import checkpoint_predict
from mmreact.utils.building_limit import (LEAST, BuildingLimit, TooLargeError,
                                          limit_for)
from mmreact.utils.checkpoint import CheckpointError

#: None of these could be made here: 4e12 bytes, or 1e12 objects.
TOO_LARGE = dict(
    linear=lambda: nn.Linear(10**6, 10**6),
    convolution=lambda: nn.Conv2d(10**6, 10**6, 1),
    layers=lambda: [nn.Conv2d(1, 1, 1) for _ in range(10**12)],
    zeros=lambda: torch.zeros(10**12),
    ones=lambda: torch.ones(10**6, 10**6),
    full=lambda: torch.full((10**12, ), 3.),
    random=lambda: torch.rand(10**12),
    arange=lambda: torch.arange(10**12),
    linspace=lambda: torch.linspace(0, 1, 10**12),
    eye=lambda: torch.eye(10**6),
    permutation=lambda: torch.randperm(10**12))


@pytest.mark.parametrize('name', TOO_LARGE)
def test_too_large(name):
    with pytest.raises(TooLargeError, match='more than 100,000,000 numbers'):
        with BuildingLimit(10**8):
            TOO_LARGE[name]()


def test_what_counts():
    with BuildingLimit(10**8) as limit:
        x = torch.zeros(50, 100)
        x.add_(1).reshape(100, 50).clone()  # made of tensors that count
        torch.ones(3)
    assert limit.made == 5000 + LEAST
    assert torch.equal(x, torch.ones(50, 100))


def test_a_network_has_room_beside_its_weights():
    init_default_scope('mmpretrain')
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='ReActNet'),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=1024))
    state = MODELS.build(model).state_dict()
    numbers = sum(value.numel() for value in state.values())
    with limit_for(dict(state_dict=state)) as limit:
        again = MODELS.build(model)
    assert again.state_dict().keys() == state.keys()
    assert numbers < limit.made < 2 * numbers


@pytest.mark.parametrize('backbone', [
    "type='ReActNet', arch=[(10**9, 1)], stem_channels=10**9",
    "type='ReActNet', arch=[(10000000, 1)], stem_channels=10000000",
    "type='VGG', depth=11, num_classes=1000000000",
    "type='ResNet', depth=18, base_channels=1000000",
])
def test_a_recorded_config(tmp_path, backbone):
    """A file of some kB does not make its reader take all memory."""
    pipeline = [
        dict(type='LoadImage'),
        dict(type='ResizeEdge', scale=32, backend='pillow'),
        dict(type='CenterCrop', crop_size=32),
        dict(type='PackInputs')
    ]
    text = (f"model = dict(type='ImageClassifier', backbone=dict({backbone}))"
            f'\ntest_dataloader = dict(dataset=dict(type="ImageNet", '
            f'pipeline={pipeline}))\n'
            'data_preprocessor = dict(mean=[0., 0, 0], std=[1., 1, 1])')
    text = text.replace('10**9', str(10**9))
    path = tmp_path / 'net.pth'
    torch.save(
        dict(meta=dict(cfg=text), state_dict=dict(a=torch.zeros(3))), path)
    with pytest.raises(CheckpointError, match='more than [0-9,]* numbers'):
        checkpoint_predict(path, 1)
