"""tools/deployment/pack.py on the ImageNet configs, as a user calls it."""
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import TRANSFORMS
from PIL import Image

import mmreact.models  # noqa: F401, registers
from mmreact.engine.packing import build_model
from mmreact.packed import PackedModel

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / 'configs').glob('*/*_in1k.py'))


def network(path):
    """What of a config decides on the packed file."""
    cfg = Config.fromfile(path)
    model = {
        key: value
        for key, value in cfg.model.items()
        if key in ('backbone', 'neck', 'head', 'data_preprocessor')
    }
    model['head'] = {k: v for k, v in model['head'].items() if k != 'loss'}
    return repr(
        (model, cfg.data_preprocessor, cfg.test_dataloader.dataset.pipeline))


@pytest.fixture(scope='module')
def seen():
    """Networks that are packed: some configs differ in the training only."""
    return set()


@pytest.fixture(scope='module')
def main():
    spec = importlib.util.spec_from_file_location(
        'pack', ROOT / 'tools/deployment/pack.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope='module')
def photograph(tmp_path_factory):
    """A slope with noise, of a photograph's size."""
    rng = np.random.default_rng(0)
    pixels = np.linspace(0, 200, 290 * 331 * 3).reshape(290, 331, 3)
    path = tmp_path_factory.mktemp('photo') / 'photo.jpg'
    Image.fromarray((pixels + rng.integers(0, 56, pixels.shape)).astype(
        np.uint8)).save(path)
    return path


def pack(main, monkeypatch, path, folder):
    """Save random weights, pack them, return the packed network."""
    # The weights are drawn once, here, and not at each building.
    for name in ('kaiming_uniform_', 'uniform_'):
        monkeypatch.setattr(torch.nn.init, name,
                            lambda tensor, *_, **__: tensor)
    model = build_model(Config.fromfile(path))
    for parameter in model.parameters():
        parameter.data.uniform_(-.1, .1)
    file, out = folder / 'net.pth', folder / 'net.safetensors'
    torch.save(dict(state_dict=model.state_dict()), file)
    del model
    monkeypatch.setattr(sys, 'argv',
                        ['pack.py', *map(str, (path, file, '-o', out))])
    assert main() is None
    file.unlink()
    return PackedModel(out)


def check(model, path, photograph):
    """It takes the pixels of the test pipeline, and classifies."""
    cfg = Config.fromfile(path)
    results = dict(img_path=str(photograph))
    for transform in cfg.test_dataloader.dataset.pipeline:
        results = TRANSFORMS.build(transform)(results)
    expected = results['inputs'].numpy()[::-1].transpose(1, 2, 0)
    assert np.array_equal(model.preprocessing.pixels(photograph), expected)
    best, = model.predict(photograph, 5)
    assert len(set(best.labels)) == 5 and len(model.classes) == 1000
    assert np.isfinite(best.scores).all() and len(best.names) == 5
    assert model.source['images'].startswith('ImageNet')


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_imagenet_configs(main, monkeypatch, tmp_path, photograph, seen, path):
    """Packed without the data set, and run on a photograph."""
    if network(path) in seen:
        return
    seen.add(network(path))
    model = pack(main, monkeypatch, path, tmp_path)
    assert model.program.input_shape == (3, 224, 224)
    check(model, path, photograph)


def test_configs_are_found():
    assert len(CONFIGS) > 50
