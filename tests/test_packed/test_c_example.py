"""examples/c/classify.c is built with a C compiler and classifies an image."""
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreact.packed import PackedModel, Preprocessing, native, save_packed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def classify(tmp_path_factory):
    """The program, built as its comment says, with all warnings as errors."""
    if not shutil.which('cc'):
        pytest.skip('no C compiler')
    try:
        library = native.library()._name
    except ImportError:
        pytest.skip('the compiled library was not built')
    program = tmp_path_factory.mktemp('c') / 'classify'
    subprocess.run([
        'cc', '-std=c99', '-pedantic', '-Wall', '-Wextra', '-Werror', '-O2',
        ROOT / 'examples/c/classify.c', '-I', ROOT / 'mmreact/csrc/include',
        library, '-lm', '-o', program
    ], check=True)  # yapf: disable
    return program


def run(*command):
    return subprocess.run(command, text=True, capture_output=True)


@pytest.mark.parametrize('channels', ['rgb', 'bgr'])
def test_it_gives_what_python_gives(classify, packed, tmp_path, channels):
    packed = replace(
        packed,
        preprocessing=Preprocessing(
            mean=(120., 110., 100.), std=(50., 60., 70.), channels=channels))
    save_packed(tmp_path / 'net', packed)
    pixels = np.random.default_rng(0).integers(
        0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.ppm')
    result = run(classify, tmp_path / 'net', tmp_path / 'image.ppm')
    assert result.returncode == 0, result.stderr
    best, = PackedModel(packed, 'native').predict(pixels, 5)
    expected = [
        f'{score:.4f} {label} {name}'
        for score, label, name in zip(best.scores, best.labels, best.names)
    ]
    assert result.stdout.splitlines() == expected


def test_its_errors(classify, packed, tmp_path):
    save_packed(tmp_path / 'net', packed)
    Image.new('RGB', (8, 9)).save(tmp_path / 'small.ppm')
    (tmp_path / 'text').write_text('no image')
    for arguments, message in [
        ([], 'Usage'),
        ([tmp_path / 'no', 'a'], f'Cannot load {tmp_path / "no"}: No such'),
        ([tmp_path / 'text', 'a'], 'it is not a safetensors file'),
        ([tmp_path / 'net', tmp_path / 'no'], 'image cannot be opened'),
        ([tmp_path / 'net', tmp_path / 'text'], 'not a binary PPM'),
        ([tmp_path / 'net', tmp_path / 'small.ppm'], 'of 9x9, not 8x9'),
    ]:  # yapf: disable
        result = run(classify, *arguments)
        assert (result.returncode, result.stdout) == (1, '')
        assert message in result.stderr
