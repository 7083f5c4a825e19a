"""benchmarks/data.py from end to end, on small photographs."""
import importlib.util
import json
import sys

import numpy as np
import pytest

from benchmarks import data, data_tables, harness
from mmreact.packed import benchmark


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A foolbox with two photographs; turns are one call long."""
    from PIL import Image
    package = tmp_path / 'foolbox'
    (package / 'data').mkdir(parents=True)
    (package / '__init__.py').write_text('raise ImportError')
    rng = np.random.default_rng(0)
    for name in ('imagenet_00_1.jpg', 'imagenet_01_2.jpg', 'cifar_00.jpg'):
        pixels = rng.integers(0, 256, (64, 80, 3), np.uint8)
        Image.fromarray(pixels).save(package / 'data' / name, progressive=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'foolbox', raising=False)
    importlib.invalidate_caches()
    monkeypatch.setattr(data, 'SIZE', (50, 38))
    monkeypatch.setattr(data, 'EPOCHS', 2)
    monkeypatch.setattr(benchmark, 'TURN', 0)
    monkeypatch.setattr(harness, 'CHUNK', 1)
    return tmp_path


@pytest.fixture
def found(tiny, monkeypatch):
    """The results, without TurboJPEG, which is not always installed."""
    monkeypatch.setitem(sys.modules, 'turbojpeg', None)
    monkeypatch.setattr('mmcv.image.io.TurboJPEG', None)
    path = tiny / 'data.json'
    args = ['--rounds', '1', '--json', str(path)]
    assert '--skip-missing' in data.main(args)
    assert not path.exists()
    assert data.main([*args, '--skip-missing']) is None
    return json.loads(path.read_text())


def test_every_contender(found):
    keys = [(r['recipe'], r['decoder'], r['resizer'])
            for r in found['results']]
    assert keys == [key for key in data.CONTENDERS if 'TurboJPEG' not in key]
    skipped, = found['skipped']
    assert skipped['contender'] == 'resized_crop/TurboJPEG/Pillow'
    assert found['images']['number'] == 2 and found['images_per_call'] == 4
    assert found['images']['size'] == [50, 38]
    apart = {key: r['difference'] for key, r in zip(keys, found['results'])}
    for (recipe, decoder, resizer), difference in apart.items():
        if decoder == data.TORCHVISION:
            assert difference is None
        elif resizer == 'Pillow':
            assert difference == dict(largest=0, share=0)
        elif resizer == 'FastRandomResizedCrop':
            assert difference['largest'] in (1, 2)
    assert apart['resized_crop', 'OpenCV', 'OpenCV']['largest'] > 0


def test_photographs(tiny):
    """Scaled and compressed anew, not progressive any more."""
    from PIL import Image
    paths = data.write_photographs(tiny)
    assert len(paths) == 2
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (50, 38) and 'progressive' not in image.info
            assert {layer[1:3] for layer in image.layer} == {(1, 1)}


def test_without_photographs(monkeypatch):
    monkeypatch.setattr(data, 'find_spec', lambda name: None)
    assert 'requirements/photographs.txt' in data.main(['--skip-missing'])


def results(**changes):
    row = dict(min_ms=100., median_ms=200., difference=None)
    rows = [
        dict(row, recipe=key[0], decoder=key[1], resizer=key[2], **more)
        for key, more in ((data_tables.DEFAULT, {}), (data_tables.FAST,
                                                      dict(min_ms=50.)))
    ]
    return dict(data=dict(results=rows, images_per_call=100, **changes))


def test_rates():
    """100 images in 200 ms are 500 a second."""
    found = results()
    row, fast = found['data']['results']
    assert data_tables.rate(found, row) == 500
    assert data_tables.rate(found, fast, 'min_ms') == 2000


@pytest.mark.parametrize('step_ms,rate,expected', [
    (100, 2560, 1),
    (100, 2559, 2),
    (50, 500, 11),
    (1000, 500, 1),
    (10, 100, 256),
])
def test_cores_needed(step_ms, rate, expected):
    """For 8 x 32 images."""
    assert data_tables.cores_needed(8, 32, step_ms, rate) == expected


def test_table_of_cores():
    last = data_tables.cores(results()).splitlines()[-1]
    assert last == '| 200 ms | 1280 | 3 | 3 |'
