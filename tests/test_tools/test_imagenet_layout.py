"""ReActNet-A, full size at 224x224, on files laid out like ImageNet's."""
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image

from mmreact.models import ReActNet  # noqa: F401, registers

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'reactnet'
CONFIG = CONFIGS / 'reactnet-a_8xb32_in1k.py'
STAGE_1 = 'reactnet-a-stage1_8xb32_in1k'
OPTIONS = [
    f'{key}_dataloader.{option}' for key in ('train', 'val', 'test')
    for option in ('num_workers=1', 'batch_size=2', 'dataset.indices=4')
]
TRAIN_OPTIONS = [
    *OPTIONS, 'train_cfg.max_epochs=1', 'param_scheduler.end=1',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.save_optimizer=False'
]
LR = 1.25e-3
#: What ImageNet holds beside colour JPEGs: CMYK and grey ones, a PNG.
KINDS = [('CMYK', 'jpeg'), ('RGB', 'png'), ('L', 'jpeg')]

NARROW = '''
_base_ = {base!r}
model = dict(
    backbone=dict(
        stem_channels=16,
        arch=[(32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2),
              *[(256, 1)] * 5, (512, 2), (512, 1)]),
    head=dict(in_channels=512))
'''


def write_image(path, rng, mode='RGB', kind='jpeg'):
    """An image of 20 to 400 pixels a side, named .JPEG whatever it is."""
    height, width = rng.integers(20, 400, 2)
    coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
    image = Image.fromarray(coarse).resize((int(width), int(height)))
    image.convert(mode).save(path, kind)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('imagenet')
    yield folder
    shutil.rmtree(folder)  # half a gigabyte


@pytest.fixture(scope='module')
def data(folder):
    """1000 classes in train/ and val/, an image each."""
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for i in range(1000):
            wnid = f'n{1440764 + 13 * i:08d}'
            path = folder / 'data' / split / wnid / f'{wnid}_{i}.JPEG'
            path.parent.mkdir(parents=True)
            write_image(path, rng, *(KINDS[i] if i < len(KINDS) else ()))
    return folder / 'data'


@pytest.fixture(scope='module')
def teacher(folder):
    """A ResNet-34 with random weights."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIG).model.teacher.model)
    torch.save(dict(state_dict=model.state_dict()), folder / 'teacher.pth')
    return folder / 'teacher.pth'


@pytest.fixture(scope='module')
def trained(folder, data, teacher, run_tool):
    """Both stages, two iterations each."""
    run_tool('train.py', CONFIG, '--work-dir', folder / 'work', '--data-root',
             data, '--teacher', teacher, '--cfg-options', *TRAIN_OPTIONS)
    return folder / 'work'


def read_log(work_dir):
    path, = work_dir.glob('2*/2*.log')
    return path.read_text()


def test_first_images_are_the_odd_ones(data):
    """Training below sees a CMYK, a PNG and a grey image."""
    paths = sorted((data / 'train').rglob('*.JPEG'))
    assert len(paths) == 1000
    opened = [Image.open(path) for path in paths[:4]]
    assert [(image.mode, image.format.lower())
            for image in opened] == [*KINDS, ('RGB', 'jpeg')]


def test_operations_are_logged(trained):
    """4.8 G one-bit MACs; in stage 1, with real weights, they are FLOPs."""
    one, two = read_log(trained / STAGE_1), read_log(trained)
    for text, bops, flops, ops in ((one, 0, 4_828_758_016, 4_828_758_016),
                                   (two, 4_816_896_000, 11_862_016,
                                    87_126_016)):
        assert 'Operations at input (3, 224, 224)' in text
        for name, value in (('BOPs', bops), ('FLOPs', flops),
                            (r'OPs \(BOPs/64 \+ FLOPs\)', ops)):
            found, = re.findall(rf'^  {name} +([\d,]+)$', text, re.MULTILINE)
            assert int(found.replace(',', '')) == value
        assert 'Epoch(train) [1][2/2]' in text
        assert re.search(
            r'Epoch\(val\) \[1\]\[2/2\].*accuracy/top1: [\d.]+ +'
            r'accuracy/top5: [\d.]+', text)


def test_stage_2_starts_from_stage_1(trained):
    """Two steps of Adam move a parameter by two learning rates at most."""
    assert f'Load checkpoint from {trained / STAGE_1}/epoch_1.pth' in read_log(
        trained)
    assert 'Load checkpoint from' not in read_log(trained / STAGE_1)
    model = MODELS.build(Config.fromfile(CONFIG).model)
    one, two = (
        torch.load(path / 'epoch_1.pth', weights_only=True)['state_dict']
        for path in (trained / STAGE_1, trained))
    shapes = {key: v.shape for key, v in model.state_dict().items()}
    for state_dict in (one, two):
        assert {key: v.shape for key, v in state_dict.items()} == shapes
    for name, _ in model.named_parameters():
        moved = (one[name] - two[name]).abs().max()
        assert 0 < moved < 2.1 * LR, name


def test_both_accuracies(run_tool, data, trained):
    out = run_tool('test.py', CONFIG, trained / 'epoch_1.pth', '--data-root',
                   data, '--json', '--work-dir', trained / 'test',
                   '--cfg-options', *OPTIONS).stdout
    metrics = json.loads(out)
    # Of four images.
    for name in ('accuracy/top1', 'accuracy/top5'):
        assert metrics[name] in (0, 25, 50, 75, 100)
        logged, = re.findall(rf'Epoch\(val\).*{name}: ([\d.]+)',
                             read_log(trained))
        assert metrics[name] == float(logged)


def test_a_corrupt_image_stops_training(run_tool, folder, data, teacher):
    """A truncated JPEG among the training images is named."""
    paths = sorted((data / 'train').rglob('*.JPEG'))[:4]
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[:len(whole) // 2])
    try:
        result = run_tool(
            'train.py',
            CONFIGS / f'{STAGE_1}.py',
            '--work-dir',
            folder / 'corrupt',
            '--data-root',
            data,
            '--teacher',
            teacher,
            '--cfg-options',
            *TRAIN_OPTIONS,
            check=False)
    finally:
        paths[3].write_bytes(whole)
    assert result.returncode != 0
    assert f'Cannot read the image {paths[3]}' in result.stderr
    assert not any(str(path) in result.stderr for path in paths[:3])
    assert not list((folder / 'corrupt').glob('*.pth'))


def test_another_width_is_refused(run_tool, folder, data, trained):
    """Half the width: all names fit, hardly a shape; each key is named."""
    narrow = folder / 'narrow.py'
    narrow.write_text(NARROW.format(base=str(CONFIG)))
    result = run_tool(
        'test.py',
        narrow,
        trained / 'epoch_1.pth',
        '--data-root',
        data,
        '--work-dir',
        trained / 'test',
        check=False)
    assert result.returncode != 0
    init_default_scope('mmpretrain')
    models = [MODELS.build(Config.fromfile(p).model) for p in (CONFIG, narrow)]
    wide, thin = ({
        key: tuple(v.shape)
        for key, v in model.state_dict().items()
    } for model in models)
    assert wide.keys() == thin.keys()
    lines = [
        f'shape: {key} is {shape}, the model has {thin[key]}'
        for key, shape in wide.items() if shape != thin[key]
    ]
    assert len(lines) > 200
    given = re.findall(r'^  (shape: .*)$', result.stderr, re.MULTILINE)
    assert len(given) == 6 and set(given) <= set(lines)
    assert f'and {len(lines) - 6} more ({len(lines)} shape)' in result.stderr
    assert f'{len(lines)} keys differ' in result.stderr
    assert str(trained / 'epoch_1.pth') in result.stderr


def test_a_truncated_checkpoint_is_named(run_tool, folder, data, trained):
    whole = (trained / 'epoch_1.pth').read_bytes()
    path = folder / 'cut.pth'
    path.write_bytes(whole[:-1000])
    result = run_tool(
        'test.py',
        CONFIG,
        path,
        '--data-root',
        data,
        '--work-dir',
        trained / 'test',
        check=False)
    assert result.returncode != 0
    assert f'{path} ({len(whole) - 1000} bytes) is truncated' in result.stderr
