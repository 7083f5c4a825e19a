"""README's "Fine-tune on one's own images"."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image

import mmreact.models  # noqa: F401, registers

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'reactnet'
ONES_OWN = CONFIGS / 'reactnet-a_8xb32_custom.py'


@pytest.fixture
def images(tmp_path):
    """Three classes of two photographs each, for training and validation."""
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for name in ('cat', 'dog', 'fox'):
            folder = tmp_path / 'custom' / split / name
            folder.mkdir(parents=True)
            for i in range(2):
                pixels = rng.integers(0, 256, (60, 80, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f'{i}.jpg')
    return tmp_path / 'custom'


@pytest.mark.slow
def test_fine_tune(run_tool, images, tmp_path):
    init_default_scope('mmpretrain')
    given = MODELS.build(
        Config.fromfile(CONFIGS / 'reactnet-a_8xb32_in1k.py').model)
    torch.save(dict(state_dict=given.state_dict()), tmp_path / 'given.pth')
    options = ('model.head.num_classes=3', 'data_preprocessor.num_classes=3')
    result = run_tool('train.py', ONES_OWN, '--from', tmp_path / 'given.pth',
                      '--reset-head', '--data-root', images, '--work-dir',
                      tmp_path / 'work', '--cfg-options', *options,
                      'train_cfg.max_epochs=1', 'param_scheduler.end=1',
                      'train_dataloader.batch_size=3',
                      'train_dataloader.num_workers=1',
                      'val_dataloader.num_workers=1')
    assert 'The classifier starts anew.' in result.stdout
    assert 'accuracy/top1: ' in result.stdout
    state = torch.load(
        tmp_path / 'work' / 'epoch_1.pth', weights_only=True)['state_dict']
    assert state['head.fc.weight'].shape == (3, 1024)
    # Two steps of Adam at 2.5e-4 from what was given.
    moved = state['backbone.stem.0.weight'] - given.backbone.stem[0].weight
    assert 0 < moved.abs().max() < 2.1 * 2.5e-4


@pytest.mark.slow
def test_wrong_number_of_classes(run_tool, images, tmp_path):
    result = run_tool(
        'train.py',
        ONES_OWN,
        '--data-root',
        images,
        '--work-dir',
        tmp_path / 'work',
        check=False)
    assert result.returncode != 0 and not (tmp_path / 'work').exists()
    assert '3 class folders, the model has 10 classes' in result.stderr
    assert 'model.head.num_classes=3' in result.stderr
