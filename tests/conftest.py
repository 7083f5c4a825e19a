"""Small data and small configs that several tests train with.

Also the environment of all tests, and of the processes that they start.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'

#: What makes the Fashion-MNIST configs run in seconds.
TINY = '''
train_cfg = dict(max_epochs={epochs})
param_scheduler = dict(end={epochs})
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(
        data_root={data!r},
        pipeline=[
            dict(type='SeedAugmentation'),
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ]))
val_dataloader = dict(batch_size=64, dataset=dict(data_root={data!r}))
test_dataloader = val_dataloader
default_hooks = dict(logger=dict(interval=1))
custom_hooks = [
    dict(type='StrictLoadHook'),
    dict(type='ReproducibilityHook'),
    dict(type='OPsCounterHook'),
    dict(type='SyncBuffersHook'),
    dict(type='EMAHook', momentum=0.1),
]
randomness = dict(seed=3, deterministic=True)
'''

#: Variables that choose what mmreact, Python, launchers and terminals do, and
#: send requests to servers on this machine elsewhere.
FOREIGN = re.compile(
    r'(?!MMREACT_KERNEL$)MMREACT_.*|PYTHON.*|SLURM_.*|TORCHELASTIC_.*|'
    r'(LOCAL_|GROUP_|NODE_)?RANK|(LOCAL_)?WORLD_SIZE|MASTER_(ADDR|PORT)|'
    r'NNODES|PORT|LANGUAGE|COLUMNS|(NO|FORCE)_COLOR|.*_proxy', re.IGNORECASE)


def pytest_configure():
    """Make the environment the same on every machine."""
    if sys.flags.optimize:
        raise pytest.UsageError('Python was told to leave out assertions '
                                '(-O, PYTHONOPTIMIZE): tests need them.')
    for name in filter(FOREIGN.fullmatch, list(os.environ)):
        del os.environ[name]
    os.environ['LC_ALL'] = 'C.UTF-8'


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write uint8 data in the format of MNIST."""
    header = bytes([0, 0, 8, array.ndim])
    header += b''.join(n.to_bytes(4, 'big') for n in array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory) -> Path:
    """Ten classes of noisy bars in the files of Fashion-MNIST."""
    root = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for name, number in (('train', 256), ('t10k', 100)):
        labels = (np.arange(number) % 10).astype(np.uint8)
        images = rng.integers(0, 80, (number, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels):
            image[2 * label + 3:2 * label + 7, 4:24] += 150
        write_idx(root / f'{name}-images-idx3-ubyte', images)
        write_idx(root / f'{name}-labels-idx1-ubyte', labels)
    return root


@pytest.fixture(scope='session')
def tiny_configs(tiny_data, tmp_path_factory) -> Path:
    """A folder with teacher.py, stage1.py and stage2.py, two epochs each."""
    folder = tmp_path_factory.mktemp('configs')
    tiny = TINY.format(epochs=2, data=str(tiny_data))
    bases = dict(
        teacher='resnet/resnet18-w16_1xb128_fashion-mnist.py',
        stage1='reactnet/reactnet-small-stage1_1xb128_fashion-mnist.py',
        stage2='reactnet/reactnet-small_1xb128_fashion-mnist.py')
    for name, base in bases.items():
        text = f'_base_ = {str(CONFIGS / base)!r}\n' + tiny
        if name != 'teacher':
            text += "model = dict(teacher=dict(config='teacher.py'))\n"
        if name == 'stage2':
            text += "start_from = dict(config='stage1.py')\n"
        (folder / f'{name}.py').write_text(text)
    return folder


@pytest.fixture(scope='session')
def run_tool():
    """Run a script of tools/ as a user does; returns the finished process.

    ``check`` is on: a failing tool fails the test and shows its output.
    """

    def run(tool, *args, check=True, cwd=None, **env):
        result = subprocess.run(
            [sys.executable,
             str(ROOT / 'tools' / tool), *map(str, args)],
            cwd=cwd or ROOT,
            env={
                **os.environ, 'OMP_NUM_THREADS': '1',
                **env
            },
            text=True,
            capture_output=True,
            timeout=600)
        if check and result.returncode:
            raise AssertionError(f'{tool} failed ({result.returncode}):\n'
                                 f'{result.stdout[-3000:]}\n'
                                 f'{result.stderr[-6000:]}')
        return result

    return run


@pytest.fixture(scope='session')
def trained(tiny_configs, tmp_path_factory, run_tool) -> Path:
    """The work directory of a whole training of tiny_configs/stage2.py."""
    work_dir = tmp_path_factory.mktemp('trained')
    run_tool('train.py', tiny_configs / 'stage2.py', '--work-dir', work_dir)
    return work_dir
