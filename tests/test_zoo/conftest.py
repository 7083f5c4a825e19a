"""A catalogue of one small network, its files on a server on loopback."""
import hashlib
from pathlib import Path

import pytest
import yaml
from zoo_server import Server

from mmreact.zoo import catalogue, rows

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/reactnet/reactnet-small_1xb128_fashion-mnist.py'


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv('MMREACT_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('MMREACT_ZOO_URL', raising=False)
    monkeypatch.delenv('MMREACT_OFFLINE', raising=False)


@pytest.fixture
def make_server():
    servers = []

    def make(data):
        servers.append(Server(data))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder in place of the package's, for the files that it carries."""
    monkeypatch.setattr(rows, 'PACKAGE', tmp_path / 'package')
    (tmp_path / 'package/weights').mkdir(parents=True)
    return tmp_path / 'package'


@pytest.fixture
def make_catalogue(tmp_path, monkeypatch):
    """``make(field=..., ...)``: the only catalogue has one row, ``small``."""

    def make(**fields):
        row = {
            'Name': 'small',
            'Config': str(CONFIG),
            'In Collection': 'Small',
            **fields
        }
        root = tmp_path / 'root'
        root.mkdir(exist_ok=True)
        (root / 'model-index.yml').write_text('Import: [metafile.yml]')
        (root / 'metafile.yml').write_text(yaml.safe_dump(dict(Models=[row])))
        monkeypatch.setattr(catalogue, 'find_root', lambda: root)
        catalogue.read_catalogue.cache_clear()

    yield make
    catalogue.read_catalogue.cache_clear()


@pytest.fixture
def published():
    """The fields of a file's row: ``published(url, data)``."""

    def fields(data, **given):
        return dict(
            SHA256=hashlib.sha256(data).hexdigest(), Bytes=len(data), **given)

    return fields
