"""MMPretrain's own analysis tools, on our configs, logs and checkpoints."""
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(mmpretrain.__file__).parent / '.mim' / 'tools'
CUSTOM = ROOT / 'configs/reactnet/reactnet-a_8xb32_custom.py'
#: The name that verify_dataset.py looks for, in the place of our LoadImage.
LOAD_FROM_FILE = [
    'train_dataloader.dataset.pipeline.1.type=LoadImageFromFile',
    'train_dataloader.dataset.pipeline.1.imdecode_backend=pillow'
]


@pytest.fixture
def run(tmp_path):
    """Run one of them in an empty folder; returns the finished process."""

    def run(tool, *args, check=True, **env):
        result = subprocess.run(
            [sys.executable,
             str(TOOLS / tool), *map(str, args)],
            cwd=tmp_path,
            env={
                **os.environ, 'PYTHONPATH': str(ROOT),
                'MPLBACKEND': 'agg',
                **env
            },
            text=True,
            capture_output=True,
            timeout=600)
        assert not check or result.returncode == 0, result.stderr[-4000:]
        return result

    return run


@pytest.fixture
def log(trained):
    """The log of stage 2, and its rows."""
    path, = trained.glob('2*/vis_data/2*.json')
    return path, [json.loads(line) for line in path.read_text().splitlines()]


def assert_is_a_picture(path):
    pixels = np.asarray(Image.open(path).convert('L'))
    assert min(pixels.shape) > 300 and pixels.std() > 5


def test_analyze_logs_plots_curves(run, log, tmp_path):
    """Of what is logged while training and while validating."""
    run('analysis_tools/analyze_logs.py', 'plot_curve', log[0], '--keys',
        'loss', 'accuracy/top1', '--out', 'curves.png')
    assert_is_a_picture(tmp_path / 'curves.png')


def test_analyze_logs_computes_times(run, log):
    out = run('analysis_tools/analyze_logs.py', 'cal_train_time', log[0])
    times = [row['time'] for row in log[1] if 'lr' in row]
    assert len(times) == 16
    assert f'average iter time: {np.mean(times):.4f} s/iter' in out.stdout


def test_confusion_matrix(run, log, tiny_configs, trained, tmp_path):
    """Its diagonal is the accuracy that training logged."""
    run('analysis_tools/confusion_matrix.py', tiny_configs / 'stage2.py',
        trained / 'epoch_2.pth', '--out', 'matrix.pkl', '--show-path',
        'matrix.png')
    matrix = pickle.loads((tmp_path / 'matrix.pkl').read_bytes()).numpy()
    assert matrix.shape == (10, 10)
    assert (matrix.sum(1) == 10).all()  # images of each class
    accuracy = [row for row in log[1] if 'accuracy/top1' in row][-1]
    assert np.trace(matrix) == pytest.approx(accuracy['accuracy/top1'])
    assert_is_a_picture(tmp_path / 'matrix.png')


def test_vis_scheduler(run, tiny_configs, tmp_path):
    """It trains a stand-in, with our hooks."""
    out = run('visualization/vis_scheduler.py', tiny_configs / 'stage2.py',
              '--save-path', 'rate.png', '--not-show')
    assert 'Iterations per epoch: 8\n' in out.stdout
    assert_is_a_picture(tmp_path / 'rate.png')


def test_print_config(run, tiny_configs, tmp_path):
    """It folds lines at the width of the terminal."""
    out = run(
        'misc/print_config.py', tiny_configs / 'stage2.py', COLUMNS='999')
    (tmp_path / 'printed.py').write_text(out.stdout)
    printed = Config.fromfile(tmp_path / 'printed.py')
    assert printed.to_dict() == Config.fromfile(tiny_configs /
                                                'stage2.py').to_dict()


def test_verify_dataset_finds_broken_images(run, tmp_path):
    """A truncated and an empty one of four."""
    rng = np.random.default_rng(0)
    for name in ('a/0', 'a/1', 'b/0', 'b/1'):
        path = tmp_path / 'images' / 'train' / f'{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
        if name == 'a/1':
            path.write_bytes(path.read_bytes()[:-500])
        if name == 'b/0':
            path.write_bytes(b'')
    run('misc/verify_dataset.py', CUSTOM, '--out-path', 'broken.log',
        '--cfg-options', 'train_dataloader.dataset.data_root=images',
        *LOAD_FROM_FILE)
    assert sorted((tmp_path / 'broken.log').read_text().split()) == [
        'images/train/a/1.jpg', 'images/train/b/0.jpg'
    ]


def test_verify_dataset_wants_image_files(run, tiny_configs):
    """Fashion-MNIST has none."""
    result = run(
        'misc/verify_dataset.py', tiny_configs / 'stage2.py', check=False)
    assert result.returncode != 0
    assert 'only for datasets needs to load image' in result.stderr
