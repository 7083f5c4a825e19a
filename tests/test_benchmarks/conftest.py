"""Small networks in the place of the ones that are timed."""
import pytest

from benchmarks import harness
from benchmarks.models import CONFIGS, NETWORKS
from mmreact.packed import benchmark


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Names of a 1-bit and of a real network; turns are one call long."""
    base = CONFIGS / 'reactnet/reactnet-small_1xb128_fashion-mnist.py'
    config = tmp_path / 'small.py'
    config.write_text(f'_base_ = {str(base)!r}\n'
                      'model = dict(backbone=dict(in_channels=3))\n')
    (tmp_path / 'metafile.yml').write_text(
        'Models: [{Name: small, Results: '
        '[{Metrics: {Top 1 Accuracy: 12.5}}]}]')
    monkeypatch.setitem(NETWORKS, 'small', str(config))
    monkeypatch.setitem(NETWORKS, 'real',
                        'mobilenet_v1/mobilenet-v1-025_8xb128_in1k.py')
    monkeypatch.setattr(benchmark, 'TURN', 0)
    monkeypatch.setattr(harness, 'CHUNK', 1)
    return 'small', 'real'
