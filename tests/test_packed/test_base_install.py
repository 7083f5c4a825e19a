"""A base install, without the train extra, runs a packed file."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreact.packed import PackedModel, save_packed

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = '''
import importlib.util, json, sys, warnings
import mmreact
from mmreact.packed import PackedModel
warnings.simplefilter('error')
model = PackedModel('net', backend='reference')
one, = model.predict('image.png', topk=3)
print(json.dumps(dict(
    place=mmreact.__file__,
    logits=model('image.png').tolist(),
    labels=one.labels, names=one.names, scores=one.scores,
    found=[name for name in ('torch', 'mmengine', 'cv2', 'openvino')
           if importlib.util.find_spec(name)])))
'''


@pytest.mark.slow
def test_a_fresh_environment(packed, tmp_path):
    """``pip install .`` brings all that running packed files needs."""
    source = tmp_path / 'source'
    source.mkdir()
    for path in ROOT.iterdir():  # a build leaves files in its folder
        if path.is_file():
            shutil.copy(path, source)
    for name in ('mmreact', 'configs', 'tools'):
        shutil.copytree(
            ROOT / name,
            source / name,
            ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    environ = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}

    def run(*command):
        result = subprocess.run(
            command,
            cwd=tmp_path,
            env=environ,
            text=True,
            capture_output=True,
            timeout=600)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    python = tmp_path / 'venv/bin/python'
    run(sys.executable, '-m', 'venv', 'venv')
    run(python, '-m', 'pip', '--disable-pip-version-check', 'install',
        './source')
    save_packed(tmp_path / 'net', packed)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    report = json.loads(run(python, '-c', SCRIPT))
    assert report['place'].startswith(str(tmp_path / 'venv'))
    assert report['found'] == []
    model = PackedModel(packed, 'reference')
    one, = model.predict(pixels, 3)
    # NumPy's version may be another.
    np.testing.assert_allclose(report['logits'], model(pixels), rtol=1e-5)
    np.testing.assert_allclose(report['scores'], one.scores, rtol=1e-4)
    assert (tuple(report['labels']), tuple(report['names'])) == (one.labels,
                                                                 one.names)
    row = json.loads(
        run(python, '-m', 'mmreact.packed', 'net', 'image.png', '--json',
            '--topk', '3'))
    assert [c['label'] for c in row['classes']] == report['labels']
    tool = Path(report['place']).with_name('.mim')
    tool /= 'tools/deployment/inspect_packed.py'
    lines = run(python, tool, tmp_path / 'net').splitlines()
    assert lines[0] == f'{tmp_path / "net"}, input 3x9x9'
