"""tools/publish_model.py: what is published, its name and its row."""
import hashlib
import json
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config

import mmreact.models  # noqa: F401, registers
from mmreact.engine import packing
from mmreact.engine.inference import checkpoint_predict
from mmreact.packed import load_packed, read_image, save_packed
from mmreact.zoo.rows import read_row

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/publish_model.py'
NAME = re.compile(r'small_(\d{8})-([0-9a-f]{8})\.(pth|safetensors)')


@pytest.fixture(scope='module')
def config(tiny_configs):
    return tiny_configs / 'stage2.py'


@pytest.fixture(scope='module')
def checkpoint(trained):
    return trained / 'epoch_2.pth'


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Call the tool's main; returns (what it exits with, stdout, stderr)."""
    spec = spec_from_file_location('publish_model', TOOL)
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(in_file, *args, out='small.pth'):
        argv = ['publish_model', in_file, tmp_path / 'out' / out, *args]
        monkeypatch.setattr(sys, 'argv', list(map(str, argv)))
        try:
            code = tool.main()
        except SystemExit as error:  # argparse
            code = error.code
        return (code, *capsys.readouterr())

    return run


def published(tmp_path):
    path, = (tmp_path / 'out').iterdir()
    return path


def weights(path, key='state_dict'):
    return torch.load(path, weights_only=True)[key]


def test_what_is_published(run, config, checkpoint, tmp_path):
    """Weights and plain values: no states, and no path of this machine."""
    code, out, err = run(checkpoint, '--config', config)
    assert code is None
    path = published(tmp_path)
    content = torch.load(path, weights_only=True)
    assert sorted(content) == ['meta', 'state_dict']
    before = torch.load(checkpoint, weights_only=True)
    assert content['state_dict'].keys() == before['state_dict'].keys()
    for key, value in before['state_dict'].items():
        assert torch.equal(content['state_dict'][key], value)
    assert ('Left out: ema_state_dict, message_hub, optimizer, '
            'param_schedulers, rng_states.') in err
    size = sum(v.numel() * v.element_size()
               for v in content['state_dict'].values())
    assert path.stat().st_size < size + 60_000 < checkpoint.stat().st_size / 3
    for private in (tmp_path.parts[1:3], Path(config).parts[1:3]):
        assert '/'.join(private).encode() not in path.read_bytes()
    assert sorted(content['meta']) == [
        'cfg', 'dataset_meta', 'epoch', 'iter', 'mmengine_version',
        'mmreact_version'
    ]
    assert content['meta']['dataset_meta']['classes'][1] == 'Trouser'
    assert content['meta']['epoch'] == 2


def test_the_name_has_day_and_hash(run, checkpoint, tmp_path):
    """The day of the training, and what torch.hub compares downloads with.

    Once more, from another name, it is the same file.
    """
    run(checkpoint)
    path = published(tmp_path)
    day, digits, _ = NAME.fullmatch(path.name).groups()
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest().startswith(digits)
    assert torch.hub.HASH_REGEX.search(path.name).group(1) == digits
    time = torch.load(checkpoint, weights_only=True)['meta']['time']
    assert time.startswith(day)
    other = tmp_path / 'other.pth'
    other.write_bytes(checkpoint.read_bytes())
    run(other)
    assert published(tmp_path) == path and path.read_bytes() == data


ALONE = '''
import pickle, sys, torch
torch.load(sys.argv[1], weights_only=True)
try:
    torch.load(sys.argv[2], weights_only=True)
except pickle.UnpicklingError:
    print('the other one is refused')
'''


def test_pytorch_alone_reads_it(run, checkpoint, tmp_path):
    """Without the types that mmreact allows for MMEngine's checkpoints."""
    run(checkpoint)
    command = [sys.executable, '-c', ALONE, published(tmp_path), checkpoint]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, '')
    assert result.stdout == 'the other one is refused\n'


def test_it_works_alone(run, config, checkpoint, tmp_path, tiny_data):
    """It packs to the same file and needs no config to classify images."""
    run(checkpoint)
    path, cfg = published(tmp_path), Config.fromfile(config)
    files = [packing.pack(cfg, source) for source in (checkpoint, path)]
    for i, file in enumerate(files):
        file.source = {}
        save_packed(tmp_path / f'{i}.safetensors', file)
    assert len({(tmp_path / f'{i}.safetensors').read_bytes()
                for i in range(2)}) == 1
    assert files[1].classes[1] == 'Trouser'
    from PIL import Image
    Image.new('L', (28, 28), 90).save(tmp_path / 'image.png')
    image = read_image(tmp_path / 'image.png')
    assert checkpoint_predict(path, 3)(image) == checkpoint_predict(
        checkpoint, 3, config)(
            image)


def test_averages_and_trained_weights(run, checkpoint, tmp_path):
    """EMAHook saves averages as weights and what was trained beside them."""
    before = torch.load(checkpoint, weights_only=True)
    _, _, err = run(checkpoint)
    assert 'averages (EMA)' in err
    averaged = published(tmp_path)
    _, _, err = run(checkpoint, '--no-ema', out='trained.pth')
    assert 'those that were trained.' in err
    trained, = (tmp_path / 'out').glob('trained_*')
    key = 'head.fc.weight'
    ours, theirs = before['state_dict'][key], before['ema_state_dict'][
        f'module.{key}']
    assert not torch.equal(ours, theirs)
    assert torch.equal(weights(averaged)[key], ours)
    for key, value in weights(trained).items():
        assert torch.equal(value, before['ema_state_dict'][f'module.{key}'])


def test_weights_of_another_project(run, config, checkpoint, tmp_path):
    """No config, no meta, DataParallel's prefix, views of a large tensor."""
    large = torch.zeros(1_000_000)
    content = {
        f'module.{k}': v if k != 'head.fc.bias' else large[:10]
        for k, v in weights(checkpoint).items()
    }
    torch.save(content, tmp_path / 'net.pth')
    code, _, _ = run(tmp_path / 'net.pth')
    assert 'does not say which network it is for' in code
    code, _, err = run(tmp_path / 'net.pth', '--config', config, '--no-ema')
    assert code is None and 'Left out' not in err
    assert 'has no averages (EMA), so --no-ema changes nothing' in err
    assert set(weights(published(tmp_path))) == set(weights(checkpoint))
    assert published(tmp_path).stat().st_size < 500_000


@pytest.mark.parametrize('kind', ['missing', 'cut', 'other network', 'full'])
def test_nothing_is_left_of_a_failure(run, tiny_configs, checkpoint, tmp_path,
                                      kind, monkeypatch):
    path, args = tmp_path / 'net.pth', []
    if kind != 'missing':
        path.write_bytes(checkpoint.read_bytes())
    if kind == 'cut':
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == 'other network':
        args = ['--config', tiny_configs / 'teacher.py']
    elif kind == 'full':

        def fail(*args):
            raise OSError(28, 'No space left on device')

        monkeypatch.setattr('os.fsync', fail)
    code, out, _ = run(path, *args)
    words = {
        'missing': 'There is no checkpoint',
        'cut': 'truncated',
        'other network': 'unexpected: backbone.stem.0.weight',
        'full': 'No space left'
    }[kind]
    assert code.startswith('Error: ') and words in code and not out
    assert not list(tmp_path.glob('out/*'))


def test_a_packed_file(run, config, checkpoint, tmp_path):
    """Its hash, and no path of this machine; the network is the same."""
    cfg = Config.fromfile(config)
    packed = packing.pack(cfg, checkpoint)
    source = tmp_path / 'net.safetensors'
    save_packed(source, packed, 'fp16')
    code, out, _ = run(source, '--config', config, out='small.safetensors')
    assert code is None
    path = published(tmp_path)
    _, digits, _ = NAME.fullmatch(path.name).groups()
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest().startswith(digits)
    new = load_packed(path)
    assert new.source == dict(
        packed.source, config='stage2.py', checkpoint='epoch_2.pth')
    new.source = packed.source
    save_packed(tmp_path / 'again', new, 'fp16')
    assert (tmp_path / 'again').read_bytes() == source.read_bytes()
    row, = yaml.safe_load(out)
    assert row['Packed'] == dict(
        File=path.name,
        SHA256=hashlib.sha256(data).hexdigest(),
        Bytes=len(data))
    (tmp_path / 'wrong.safetensors').write_bytes(data[:-1])
    code, *_ = run(
        tmp_path / 'wrong.safetensors',
        '--config',
        config,
        out='small.safetensors')
    assert 'Cannot publish' in code and 'cut off' in code


@pytest.mark.parametrize('in_file,args,words', [
    ('net.pth', ['out.safetensors'], 'must end with .pth'),
    ('net.safetensors', ['out.pth'], 'must end with .safetensors'),
    ('net.safetensors', ['out.safetensors'], 'give --config'),
])
def test_wrong_arguments(run, in_file, args, words):
    code, _, err = run(in_file, out=args[0])
    assert code == 2 and words in err


def metrics_file(tmp_path, **changes):
    metrics = {
        'config': 'c.py',
        'accuracy/top1': 12.3456,
        'accuracy/top5': 78.9,
        **changes
    }
    (tmp_path / 'metrics.json').write_text(json.dumps(metrics))
    return tmp_path / 'metrics.json'


def test_the_row(run, config, checkpoint, tmp_path):
    """Into the row that the metafile has; published results stay."""
    own = tmp_path / 'stage2.py'
    own.write_text(f'_base_ = {str(config)!r}\n')
    old = dict(
        Name='stage2',
        Metadata=dict(FLOPs=1, Network='Small'),
        **{'In Collection': 'ReActNet'},
        Results=[
            dict(Source='published in the paper', Metrics=1),
            dict(Source='measured here', Metrics=2)
        ],
        Weights=None,
        Config='configs/stage2.py')
    (tmp_path / 'metafile.yml').write_text(
        yaml.safe_dump(dict(Models=[dict(Name='other'), old])))
    _, out, err = run(checkpoint, '--config', own, '--url',
                      'https://host.example/zoo/', '--command',
                      'python tools/train.py X', '--metrics',
                      metrics_file(tmp_path, checkpoint=str(checkpoint)))
    row, = yaml.safe_load(out)
    path = published(tmp_path)
    time = torch.load(checkpoint, weights_only=True)['meta']['time']
    assert row == {
        'Name':
        'stage2',
        'Metadata': {
            # As counted for the table in the README.
            'FLOPs': 37504,
            'BOPs': 1015808,
            'OPs': 53376,
            'Parameters': 57450,
            '1-bit Parameters': 55040,
            'Network': 'Small'
        },
        'In Collection':
        'ReActNet',
        'Results': [
            dict(Source='published in the paper', Metrics=1), {
                'Dataset': 'Fashion-MNIST',
                'Task': 'Image Classification',
                'Metrics': {
                    'Top 1 Accuracy': 12.35,
                    'Top 5 Accuracy': 78.9
                },
                'Source': 'measured here: python tools/test.py'
            }
        ],
        'Weights':
        f'https://host.example/zoo/{path.name}',
        'Weights SHA256':
        hashlib.sha256(path.read_bytes()).hexdigest(),
        'Weights Bytes':
        path.stat().st_size,
        'Trained': {
            'Command': 'python tools/train.py X',
            'Data': 'Fashion-MNIST',
            'Date': f'{time[:4]}-{time[4:6]}-{time[6:8]}'
        },
        'Config':
        'configs/stage2.py'
    }
    assert list(row)[-1] == 'Config' and 'The row does not say' not in err
    info = read_row(row, tmp_path)  # as the catalogue reads it
    assert info.weights.name == path.name and info.origin == 'trained here'
    assert info.measured == (row['Results'][1], )


def test_a_row_says_what_it_lacks(run, config, checkpoint, tmp_path):
    _, out, err = run(checkpoint)
    row, = yaml.safe_load(out)
    assert row['Name'] == 'small' and 'Config' not in row
    assert [
        line.split()[-1] for line in err.splitlines() if 'does not say' in line
    ] == ['--url.', '--metrics.', '--command.']


@pytest.mark.parametrize('changes,words', [
    (dict(checkpoint='other.pth'), 'is about other.pth, not about'),
    ({
        'accuracy/top5': 'x'
    }, 'is not what python tools/test.py'),
    ({
        'accuracy/top1': 101
    }, 'is not what'),
    (None, 'is not what'),
])
def test_metrics_of_something_else(run, checkpoint, tmp_path, changes, words):
    changed = dict(dict(checkpoint=str(checkpoint)), **(changes or {}))
    path = metrics_file(tmp_path, **changed)
    if changes is None:
        path.write_text('[1]')
    code, *_ = run(checkpoint, '--metrics', path)
    assert words in code and not list(tmp_path.glob('out/*'))
