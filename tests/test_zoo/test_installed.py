"""An installed wheel, and an editable install, in an empty environment.

Neither has torch. What mmreact declares that it needs is linked into the
environment from this one, so that no network is used; nothing else is.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from tiny_packed import build_packed, save

from mmreact.packed import PackedModel

ROOT = Path(__file__).resolve().parents[2]
NAME = 'reactnet-a_8xb32_in1k'
SCRIPT = '''
import importlib.util, json, sys
from pathlib import Path
import numpy as np
import mmreact.zoo
from mmreact.packed import PackedModel
info = mmreact.zoo.info('{name}')
model = PackedModel.from_zoo('{name}', backend='reference')
names = mmreact.zoo.list_models()
print(json.dumps(dict(
    place=mmreact.__file__, config=info.config,
    configs=[Path(mmreact.zoo.info(name).config).is_file() for name in names],
    file=str(mmreact.zoo.packed_file('{name}')),
    logits=model(np.load('input.npy')).tolist(), names=names,
    torch=importlib.util.find_spec('torch') is not None)))
'''

WITH_TORCH = f'''
import os, mmpretrain, mmreact.zoo
model = mmreact.zoo.get_model('{NAME}')
config = mmreact.zoo.info('{NAME}').config
assert os.path.samefile(config, model._config.filename)
ours = set(mmreact.zoo.list_models()) & set(mmpretrain.list_models())
print(mmpretrain.get_model('{NAME}')._config.filename, len(ours))
'''


def needed(name, found):
    """The distributions that one needs, and what those need."""
    if name not in found:
        found.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if not requirement.marker or requirement.marker.evaluate(
                    dict(extra='')):
                needed(requirement.name, found)
    return found


def declared():
    """install_requires of setup.cfg."""
    from configparser import ConfigParser
    config = ConfigParser()
    config.read(ROOT / 'setup.cfg')
    lines = config['options']['install_requires'].split('\n')
    return [Requirement(line).name for line in lines if line.strip()]


def make_environment(folder):
    """A venv with mmreact's dependencies and setuptools; gives its python."""
    command = [sys.executable, '-m', 'venv', '--without-pip', folder]
    subprocess.run(command, check=True)
    site, = folder.glob('lib/python*/site-packages')
    found = set()
    for name in [*declared(), 'setuptools']:
        needed(name, found)
    for name in found:
        for file in distribution(name).files:
            top = file.parts[0]
            if top != '..' and not (site / top).exists():
                (site / top).symlink_to(distribution(name).locate_file(top))
    return folder / 'bin/python'


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """This repository, where one network has a packed file."""
    source = tmp_path_factory.mktemp('source')
    for path in ROOT.iterdir():  # a build leaves files in its folder
        if path.is_file():
            shutil.copy(path, source)
    for name in ('mmreact', 'configs', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__', '.mim')
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    weights = source / 'mmreact/zoo/weights'
    weights.mkdir(exist_ok=True)
    data = save(weights / 'tiny.safetensors')
    metafile = source / 'configs/reactnet/metafile.yml'
    content = yaml.safe_load(metafile.read_text())
    row, = (r for r in content['Models'] if r['Name'] == NAME)
    row['Packed'] = dict(
        File='weights/tiny.safetensors',
        SHA256=hashlib.sha256(data).hexdigest(),
        Bytes=len(data))
    row['Weights From'] = 'a test'
    metafile.write_text(yaml.safe_dump(content))
    return source


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['wheel', 'editable'])
def test_everything_works_in_an_empty_directory(source, tmp_path, kind):
    environ = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    # The compiled kernels are optional and their build has tests of its own.
    environ.update(
        MMREACT_OFFLINE='1',
        CC='false',
        CXX='false',
        MMREACT_CACHE=str(tmp_path / 'cache'))
    python = make_environment(tmp_path / 'venv')
    empty = tmp_path / 'empty'
    empty.mkdir()

    def run(*command):
        result = subprocess.run(
            command,
            cwd=empty,
            env=environ,
            text=True,
            capture_output=True,
            timeout=600)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    pip = (sys.executable, '-m', 'pip', '--python', python)
    options = ('--no-deps', '--no-build-isolation', '--no-index')
    if kind == 'wheel':
        run(*pip, 'wheel', *options, '-w', tmp_path / 'dist', source)
        target, = (tmp_path / 'dist').glob('mmreact-*.whl')
        run(*pip, 'install', *options, target)
    else:
        run(*pip, 'install', *options, '-e', source)
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 9)).astype(np.float32)
    np.save(empty / 'input.npy', x)

    report = json.loads(run(python, '-c', SCRIPT.format(name=NAME)))
    home = tmp_path / 'venv' if kind == 'wheel' else source
    package = Path(report['place']).parent
    assert package.is_relative_to(home)
    assert report['config'] == str(package /
                                   f'.mim/configs/reactnet/{NAME}.py')
    assert all(report['configs']) and len(report['configs']) >= 60
    assert report['file'] == str(package / 'zoo/weights/tiny.safetensors')
    assert not report['torch']
    logits = PackedModel(build_packed(), 'reference')(x)
    np.testing.assert_allclose(report['logits'], logits, rtol=1e-6)

    rows = json.loads(run(python, '-m', 'mmreact.zoo', 'list', '--json'))
    assert [row['name'] for row in rows] == report['names']
    tool = package / '.mim/tools/zoo.py'
    text = run(python, tool, 'info', NAME)
    assert 'tiny.safetensors' in text and 'a test' in text
    assert run(python, tool, 'download', '--packed', NAME).strip() == \
        report['file']
    assert not (tmp_path / 'cache').exists()

    environ['PYTHONPATH'] = str(package.parent)  # now with torch
    place, number = run(sys.executable, '-c', WITH_TORCH).split()[-2:]
    assert place == report['config'] and number == str(len(rows))
