"""How large packed networks are."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

import mmreact.models  # noqa: F401, registers
from mmreact.export import lower
from mmreact.packed import PackedFile, load_packed, ops, save_packed

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.fixture(scope='module')
def program(randomize):
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(CONFIGS / 'reactnet/reactnet-a_8xb32_in1k.py')
    torch.manual_seed(0)
    return lower(randomize(MODELS.build(cfg.model)), (3, 224, 224))


@pytest.mark.parametrize('real,limit', [('fp32', 8.03e6), ('fp16', 6.0e6)])
def test_reactnet_a(program, tmp_path, real, limit):
    """28,253,184 1-bit weights, and the names of 1,000 classes."""
    path = tmp_path / 'a.safetensors'
    classes = DATASETS.get('ImageNet').METAINFO['classes']
    size = save_packed(path, PackedFile(program, classes=classes), real)
    assert size == path.stat().st_size
    packed = load_packed(path).program
    bits = [op for op in packed.operations if isinstance(op, ops.BinaryConv2d)]
    one_bit = sum(op.weight[..., 0].size * op.in_channels // op.groups
                  for op in bits)
    assert one_bit == 28_253_184
    assert one_bit / 8 < size <= limit
