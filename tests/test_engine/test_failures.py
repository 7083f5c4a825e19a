"""A clear error, and nothing lost: disks, folders and images that fail."""
import resource
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mmreact import compat  # noqa: F401, lets torch read the checkpoints
from mmreact.datasets.transforms import CorruptImageError
from mmreact.engine import ResumableTrainLoop


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def same_weights(a, b):
    a, b = (torch.load(p, weights_only=True)['state_dict'] for p in (a, b))
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def interrupted(small_trained, tmp_path):
    """Two of three epochs, and what to expect."""
    work = tmp_path / 'work'
    shutil.copytree(small_trained, work)
    (work / 'epoch_3.pth').unlink()
    return work


def test_full_disk(interrupted, small_trained, small_train):
    """The kernel lets no file grow to the size of a checkpoint."""
    size = (interrupted / 'epoch_2.pth').stat().st_size
    content = (interrupted / 'epoch_2.pth').read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(
                OSError, match='File too large.*before is untouched.*epoch_3'):
            small_train(interrupted, 'one', resume='auto')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(interrupted) == ['epoch_2.pth']
    assert (interrupted / 'epoch_2.pth').read_bytes() == content
    assert not list(interrupted.glob('.epoch*'))
    small_train(interrupted, 'one', resume='auto')
    assert same_weights(interrupted / 'epoch_3.pth',
                        small_trained / 'epoch_3.pth')


@pytest.mark.parametrize('work_dir', ['file', 'file/below'])
def test_work_directory_that_cannot_be_written(small_train, tmp_path,
                                               work_dir):
    """For root no folder is read-only: a file is in the way."""
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(OSError, match=f'{work_dir}.*fingerprint.json'):
        small_train(tmp_path / work_dir, 'one')
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.fixture(scope='module')
def images(small_configs, tmp_path_factory):
    """32 PNG images of ten classes; with a config that trains on them."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for i in range(32):
        folder = root / 'train' / f'class_{i % 10}'
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.png')
    (small_configs / 'images.py').write_text(f"""
_base_ = 'one.py'
model = dict(backbone=dict(in_channels=3))
data_preprocessor = dict(mean=[120.] * 3, std=[70.] * 3)
train_dataloader = dict(dataset=dict(
    _delete_=True, type='CustomDataset', data_root={str(root)!r},
    data_prefix='train', pipeline=[
        dict(type='SeedAugmentation'),
        dict(type='LoadImage'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs')]))
val_cfg = val_dataloader = val_evaluator = None
""")
    return root


@pytest.fixture(scope='module')
def undisturbed(images, tmp_path_factory, small_train):
    folder = tmp_path_factory.mktemp('undisturbed')
    small_train(folder, 'images')
    return folder


DAMAGES = {
    'lost': lambda path: shutil.rmtree(path.parents[1]),
    'removed': lambda path: path.unlink(),
    'truncated': lambda path: path.write_bytes(path.read_bytes()[:200]),
    'empty': lambda path: path.write_bytes(b''),
    'no image': lambda path: path.write_text('<html>404</html>'),
}


@pytest.mark.parametrize('damage', ['lost', 'truncated'] + [
    pytest.param(name, marks=pytest.mark.slow)
    for name in DAMAGES if name not in ('lost', 'truncated')
])
def test_images_that_cannot_be_read(images, undisturbed, small_train,
                                    monkeypatch, tmp_path, damage):
    """In the second epoch. With the images back, it goes on as before."""
    saved = tmp_path / 'saved'
    shutil.copytree(images, saved)
    path = images / 'train' / 'class_3' / '3.png'
    run_iter = ResumableTrainLoop.run_iter

    def run(self, idx, batch):
        run_iter(self, idx, batch)
        if self.iter == 5:
            DAMAGES[damage](path)

    work = tmp_path / 'work'
    try:
        with monkeypatch.context() as patch, pytest.raises(
                CorruptImageError) as error:
            patch.setattr(ResumableTrainLoop, 'run_iter', run)
            small_train(work, 'images')
    finally:
        shutil.copytree(saved, images, dirs_exist_ok=True)
    message = str(error.value)
    assert 'go on with --resume' in message
    assert str(images if damage == 'lost' else path) in message
    assert names(work)[0] == 'epoch_1.pth'
    small_train(work, 'images', resume='auto')
    assert same_weights(work / 'epoch_3.pth', undisturbed / 'epoch_3.pth')
