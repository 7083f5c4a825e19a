"""The packed networks that come with the package."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
from PIL import Image

from mmreact import zoo
from mmreact.datasets.fashion_mnist import prepare_fashion_mnist, read_idx
from mmreact.packed import PackedModel, native

NAME = 'reactnet-tiny_1xb128_fashion-mnist'
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / 'data' / 'fashion_mnist'
CLASSES = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal',
           'Shirt', 'Sneaker', 'Bag', 'Ankle boot')


@pytest.fixture(scope='module')
def images():
    """The test images and their labels."""
    prepare_fashion_mnist(DATA)
    return (read_idx(DATA / 't10k-images-idx3-ubyte',
                     3), read_idx(DATA / 't10k-labels-idx1-ubyte', 1))


def test_size():
    file = zoo.info(NAME).packed
    assert Path(file.path).stat().st_size == file.bytes <= 150_000


@pytest.mark.parametrize('row,log', [
    ('stage 2, packed', 'reactnet-tiny'),
    ('real-valued counterpart', 'reactnet-tiny-real'),
])
def test_readme_has_what_the_logs_end_with(row, log):
    """Three seeds by the last epoch, their mean and standard deviation."""
    page = (ROOT / 'configs/reactnet/README.md').read_text('utf-8')
    cells = re.search(rf'^\| {row} \|(.*)\|$', page, re.MULTILINE)[1]
    printed = re.findall(r'\d+\.\d+', cells)
    last = []
    for seed in range(3):
        path = ROOT / f'docs/training_logs/{log}_seed{seed}.json'
        lines = path.read_text('utf-8').splitlines()
        last.append(json.loads(lines[-1])['accuracy/top1'])
    expected = [*last, mean(last), stdev(last)]
    assert printed == [f'{value:.2f}' for value in expected]


def test_command_without_network(tmp_path):
    """As right after an installation: by name, on an image file."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 8:12] = pixels[4:24, 16:20] = pixels[4:8, 8:20] = 200
    Image.fromarray(pixels).save(tmp_path / 'trousers.png')
    done = subprocess.run(
        [sys.executable, '-m', 'mmreact.packed', NAME, 'trousers.png'],
        cwd=tmp_path,
        env=dict(os.environ, MMREACT_OFFLINE='1', MMREACT_CACHE=str(tmp_path)),
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].endswith('Trouser (1)')
    assert done.stderr.startswith('Note: the network was trained on Fashion-')
    assert 'light on black' in done.stderr
    assert sum(name in done.stdout for name in CLASSES) == 5


@pytest.mark.slow
def test_accuracy_is_the_metafiles(images):
    """On all 10,000 test images, read and padded here."""
    pixels, labels = images
    model = PackedModel.from_zoo(NAME)
    logits = np.concatenate([
        model(list(pixels[i:i + 250, ..., None]))
        for i in range(0, len(pixels), 250)
    ])
    order = np.argsort(-logits, 1, kind='stable')
    hits = order == labels[:, None]
    result, = zoo.info(NAME).measured
    assert len(labels) == 10_000
    assert result['Metrics'] == {
        f'Top {k} Accuracy': round(100 * hits[:, :k].any(1).mean(), 2)
        for k in (1, 5)
    }
    assert result['Metrics']['Top 1 Accuracy'] >= 90


def resized(image, size):
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)


def placed(image, size, edge, corner):
    """On a black ground of this size."""
    ground = Image.new('L', size)
    ground.paste(resized(image, (edge, edge)), corner)
    return ground


#: Name -> a test image as others may have it.
VARIANTS = {
    **{
        f'{edge} pixels': lambda image, edge=edge: resized(
            image, (edge, edge))
        for edge in (29, 32, 40, 56, 100, 280, 512)
    },
    'enlarged by repeating':
    lambda image: np.kron(image, np.ones((5, 5), np.uint8)),
    'colour':
    lambda image: resized(image, (90, 90)).convert('RGB'),
    '16 bits':
    lambda image: Image.fromarray(
        np.kron(image, np.ones((3, 3), np.uint8)).astype(np.uint16) * 257),
    'wide':
    lambda image: placed(image, (120, 60), 60, (30, 0)),
    'wide, at the left':
    lambda image: placed(image, (512, 128), 128, (0, 0)),
    'high, at the bottom':
    lambda image: placed(image, (28, 70), 28, (0, 42)),
    'in a larger square':
    lambda image: placed(image, (200, 200), 70, (9, 99)),
    'without its black edges':
    lambda image: resized(image,
                          (56, 56)).crop(resized(image, (56, 56)).getbbox()),
}


@pytest.fixture(scope='module')
def accuracy(images):
    """Function of images -> top-1 of the first 500 test images in percent."""
    model = PackedModel.from_zoo(NAME)
    labels = images[1][:500]
    return lambda inputs: 100 * (model(inputs).argmax(1) == labels).mean()


@pytest.mark.slow
@pytest.mark.parametrize('variant', VARIANTS)
def test_accuracy_at_every_size(images, accuracy, variant):
    """At most 3 points are lost; what is cropped in silence loses 80."""
    first = images[0][:500]
    inputs = [VARIANTS[variant](image) for image in first]
    assert accuracy(inputs) >= accuracy(list(first)) - 3


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['reference', 'openvino'])
def test_backends_agree(images, backend):
    batch = list(images[0][:64, ..., None])
    expected = PackedModel.from_zoo(NAME, backend='native')(batch)
    other = PackedModel.from_zoo(NAME, backend=backend)(batch)
    assert (other.argmax(1) == expected.argmax(1)).mean() > 0.95
    assert native.kernels() and np.abs(other - expected).mean() < 0.05
