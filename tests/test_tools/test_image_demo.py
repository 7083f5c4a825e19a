"""tools/image_demo.py with checkpoints, packed files and configs."""
import hashlib
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from PIL import Image

import mmreact.models  # noqa: F401, registers
from mmreact.engine.packing import pack
from mmreact.packed import PackedModel, save_packed
from mmreact.packed.__main__ import main as packed_main
from mmreact.zoo import catalogue

TOOL = Path(__file__).resolve().parents[2] / 'tools/image_demo.py'


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the tool's main; returns (what it exits with, stdout, stderr)."""
    spec = spec_from_file_location('image_demo', TOOL)
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['image_demo', *map(str, args)])
        try:
            code = tool.main()
        except SystemExit as error:  # argparse
            code = error.code
        return (code, *capsys.readouterr())

    return run


@pytest.fixture(scope='module')
def checkpoint(trained):
    return trained / 'epoch_2.pth'


@pytest.fixture(scope='module')
def folder(tmp_path_factory, tiny_data):
    """Test images of the tiny data set as files."""
    path = tmp_path_factory.mktemp('images')
    raw = (tiny_data / 't10k-images-idx3-ubyte').read_bytes()[16:]
    images = np.frombuffer(raw, np.uint8).reshape(-1, 28, 28)
    for i, image in enumerate(images[:6]):
        Image.fromarray(image).save(path / f'{i}.png')
    return path


@pytest.fixture(scope='module')
def packed_net(tiny_configs, checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp('packed') / 'net.safetensors'
    cfg = Config.fromfile(tiny_configs / 'stage2.py')
    save_packed(path, pack(cfg, checkpoint))
    return path


def test_all_ways_give_the_same(run, tiny_configs, checkpoint, packed_net,
                                folder, tmp_path, monkeypatch):
    """What the checkpoint records, its config, the packed file, and Python.

    From an empty folder, as a checkpoint that was sent to someone.
    """
    monkeypatch.chdir(tmp_path)
    config = tiny_configs / 'stage2.py'
    ways = [(checkpoint, ), (checkpoint, '--config', config),
            (config, '--checkpoint', checkpoint), (packed_net, )]
    found = []
    for way in ways:
        code, out, _ = run(folder, *way, '--json')
        assert code == 0
        found.append([json.loads(line) for line in out.splitlines()])
    model = PackedModel(packed_net, 'reference')
    paths = sorted(folder.iterdir())
    for i, one in enumerate(model.predict([str(p) for p in paths], topk=5)):
        for row in (way[i] for way in found):
            assert row['file'] == str(paths[i])
            assert [c['name'] for c in row['classes']] == list(one.names)
            scores = [c['score'] for c in row['classes']]
            # Rounding may move single values across a threshold.
            np.testing.assert_allclose(scores, one.scores, atol=0.02)
    assert found[0] == found[1] == found[2]


def test_as_a_user_runs_it(run_tool, checkpoint, folder, tmp_path):
    result = run_tool(
        'image_demo.py',
        folder / '0.png',
        tmp_path / 'gone.png',
        checkpoint,
        '--out-dir',
        tmp_path / 'out',
        '--topk',
        2,
        check=False)
    assert result.returncode == 1
    assert f'Cannot read the image {tmp_path}/gone.png' in result.stderr
    assert result.stderr.endswith(
        'Error: 1 of 2 images were not classified.\n')
    assert len(result.stdout.splitlines()) == 3
    with Image.open(tmp_path / 'out/0.png') as picture:
        assert picture.size == (280, 280)


@pytest.mark.parametrize('size', [(28, 1), (1, 1), (3, 400), (300, 280)])
def test_an_image_of_any_size(run, checkpoint, tmp_path, size):
    """Resized, although the pipeline was made for 28x28 pixels."""
    Image.new('L', size, 200).save(tmp_path / 'any.png')
    code, out, err = run(tmp_path / 'any.png', checkpoint)
    assert code == 0 and len(out.splitlines()) == 6
    assert err.startswith('Note: the network was trained on Fashion-MNIST')


@pytest.fixture
def zoo(tiny_configs, checkpoint, packed_net, tmp_path, monkeypatch):
    """A catalogue with a name for each kind of file."""

    def fields(path):
        data = path.read_bytes()
        return dict(
            URL=path.as_uri(),
            SHA256=hashlib.sha256(data).hexdigest(),
            Bytes=len(data))

    rows = [
        dict(Name='float', Weights=checkpoint.as_uri()),
        dict(Name='bits', Packed=fields(packed_net)),
        dict(Name='none')
    ]
    for row in rows:
        row['Config'] = str(tiny_configs / 'stage2.py')
        row['In Collection'] = 'Small'
        row['Weights From'] = 'published here'
    (tmp_path / 'metafile.yml').write_text(yaml.safe_dump(dict(Models=rows)))
    (tmp_path / 'model-index.yml').write_text('Import: [metafile.yml]')
    monkeypatch.setattr(catalogue, 'find_root', lambda: tmp_path)
    monkeypatch.setenv('MMREACT_CACHE', str(tmp_path / 'cache'))
    catalogue.read_catalogue.cache_clear()
    yield
    catalogue.read_catalogue.cache_clear()


def test_names(zoo, run, checkpoint, packed_net, folder, monkeypatch, capsys):
    """A packed file is preferred; --checkpoint replaces what is published."""
    image = folder / '0.png'
    floats, bits = (
        run(image, net, '--json')[1] for net in (checkpoint, packed_net))
    assert run(image, 'float', '--json')[1] == floats
    assert run(image, 'bits', '--json')[1] == bits
    assert run(image, 'none', '--checkpoint', checkpoint,
               '--json')[1] == floats
    code, *_ = run(image, 'none')
    assert code.startswith('Error: No checkpoint of none is published')
    code, *_ = run(image, 'flaot')
    assert code.startswith('Error: ') and "float" in code
    # Without torch it is packed files only.
    argv = ['packed', 'bits', str(image), '--json']
    monkeypatch.setattr(sys, 'argv', argv)
    assert packed_main() == 0
    assert capsys.readouterr().out == bits
    argv[1] = 'float'
    assert 'No packed file of float is published' in packed_main()


def strip(checkpoint, path):
    """As a file of another project: weights, and no config."""
    content = torch.load(checkpoint, weights_only=False)
    torch.save(dict(state_dict=content['state_dict']), path)
    return path


@pytest.mark.parametrize('kind,words', [
    ('missing', 'Error: There is no checkpoint'),
    ('no config', 'does not say which network it is for'),
    ('other config', 'does not fit the model'),
    ('config alone', 'give --checkpoint FILE'),
    ('two checkpoints', '--checkpoint goes with the name or the config'),
])
def test_wrong_models(run, tiny_configs, checkpoint, folder, tmp_path, kind,
                      words):
    args = {
        'missing': [tmp_path / 'gone.pth'],
        'no config': [strip(checkpoint, tmp_path / 'net.pth')],
        'other config': [checkpoint, '--config', tiny_configs / 'teacher.py'],
        'config alone': [tiny_configs / 'stage2.py'],
        'two checkpoints': [checkpoint, '--checkpoint', checkpoint],
    }[kind]
    code, out, err = run(folder / '0.png', *args)
    assert words in (code if isinstance(code, str) else err)
    assert code not in (0, None) and not out
