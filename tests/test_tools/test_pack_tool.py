"""tools/deployment/pack.py and tools/test.py on its files, as a user runs."""
import hashlib
import importlib.util
import json
import pickle
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmreact.models  # noqa: F401, registers
from mmreact.engine import packing, testing
from mmreact.export import LoweringError
from mmreact.packed import PackedFileError, PackedModel, Resize, load_packed
from mmreact.packed import ops as packed_ops
from mmreact.utils.checkpoint import CheckpointError

PACK = 'deployment/pack.py'
TOOL = Path(__file__).resolve().parents[2] / 'tools' / PACK


@pytest.fixture(scope='module')
def config(tiny_configs):
    return tiny_configs / 'stage2.py'


@pytest.fixture(scope='module')
def checkpoint(trained):
    return trained / 'epoch_2.pth'


@pytest.fixture(scope='module')
def packed(run_tool, config, checkpoint, tmp_path_factory):
    """``(file, output of the tool)``, verified on 40 images."""
    path = tmp_path_factory.mktemp('packed') / 'net.safetensors'
    return path, run_tool(PACK, config, checkpoint, '-o', path, '--verify',
                          40).stdout


def test_what_is_printed(packed, checkpoint):
    """Sizes, and a verification of all layers."""
    path, out = packed
    assert '\nVerified: ' in out
    assert '40 of 40 predictions are equal (reference)' in out
    assert 'backbone.stages.0.0.conv1' in out
    line = out.splitlines()[-1]
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    whole = sum(v.numel() * v.element_size() for v in state.values())
    size = path.stat().st_size
    assert line.startswith(f'{path}: {size:,} bytes')
    assert f'{whole:,} bytes, {whole / size:.1f} times' in line
    assert whole / size > 5


def test_what_is_in_the_file(packed, config, checkpoint):
    path, _ = packed
    file = load_packed(path)
    assert file.program.input_shape == (1, 32, 32)
    assert file.classes[0] == 'T-shirt/top' and len(file.classes) == 10
    made = file.preprocessing
    assert made.resize == Resize(
        mode='object', size=(28, 28), filter='lanczos')
    assert (made.crop, made.pad, made.channels) == (None, (2, 2, 2, 2), 'gray')
    assert file.source['images'].startswith('Fashion-MNIST: grey images')
    assert (made.mean, made.std) == ((72.94, ), (90.02, ))
    assert file.source['checkpoint'] == str(checkpoint)
    assert file.source['checkpoint_sha256'] == hashlib.sha256(
        checkpoint.read_bytes()).hexdigest()
    assert file.source['config'] == str(config)
    one_bit = [
        op for op in file.program.operations
        if isinstance(op, packed_ops.BinaryConv2d)
    ]
    assert len(one_bit) == 8  # three blocks, two of which double
    assert [path.name for path in path.parent.iterdir()] == [path.name]


def test_the_same_lines_as_for_a_checkpoint(run_tool, config, checkpoint,
                                            packed, tmp_path):
    """top-1 and top-5 of all test images; the accuracies agree."""
    path, _ = packed
    out = tmp_path / 'predictions.pkl'
    results = {}
    for source in (checkpoint, path):
        result = run_tool('test.py', config, source, '--json', '--out', out,
                          '--backend', 'reference', '--work-dir', tmp_path)
        metrics = json.loads(result.stdout)
        assert re.search(r'Epoch\(test\).*accuracy/top1: .*accuracy/top5: ',
                         result.stderr)
        assert metrics.pop('checkpoint') == str(source)
        results[source] = metrics, pickle.loads(out.read_bytes())
    (float_metrics, float_samples), (metrics, samples) = results.values()
    assert metrics == float_metrics
    assert len(samples) == len(float_samples) == 100
    for a, b in zip(samples, float_samples):
        assert a['gt_label'] == b['gt_label']
        torch.testing.assert_close(
            a['pred_score'], b['pred_score'], rtol=1e-3, atol=1e-3)
    assert {key for key in samples[0]} == {key for key in float_samples[0]}


def test_images_through_the_packed_model(packed, tiny_data, checkpoint):
    """Raw 28x28 images: as the data loader's."""
    path, _ = packed
    raw = np.frombuffer((tiny_data / 't10k-images-idx3-ubyte').read_bytes(),
                        np.uint8, offset=16)  # yapf: disable
    images = raw.reshape(-1, 28, 28, 1)[:20]
    model = PackedModel(path, 'reference')
    x = (np.pad(images[..., 0],
                ((0, 0), (2, 2),
                 (2, 2))) - np.float32(72.94)) / np.float32(90.02)
    assert (model(images) == model(x[:, None])).all()
    assert model.predict(images[0])[0].names[0] in model.classes


@pytest.mark.slow
def test_half_precision_and_no_preprocessing(run_tool, config, checkpoint,
                                             packed, tmp_path):
    path = tmp_path / 'half.safetensors'
    out = run_tool(PACK, config, checkpoint, '-o', path, '--real', 'fp16',
                   '--no-preprocessing', '--verify', 20).stdout
    assert '\nVerified: ' in out
    assert load_packed(path).preprocessing is None
    smaller = packed[0].stat().st_size - path.stat().st_size
    # Stem 1->16 and classifier 64->10; the preprocessing is some text.
    assert smaller >= 2 * (16 * 9 + 640)


@pytest.mark.parametrize('verdict,code,words', [
    ('verified', None, ''),
    ('undecided', 3, 'neither verified nor wrong'),
    ('wrong', 'Error: the packed file is not right', ''),
])
def test_exit_codes_of_verify(verdict, code, words, config, checkpoint,
                              tmp_path, monkeypatch, capsys):
    """A file that is not verified keeps another name."""
    spec = importlib.util.spec_from_file_location('pack_tool', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool, 'verify_file', lambda *args: verdict)
    path = tmp_path / 'net.safetensors'
    argv = [config, checkpoint, '-o', path, '--verify', 2]
    monkeypatch.setattr(sys, 'argv', ['pack.py', *map(str, argv)])
    result = tool.main()
    assert result == code or str(result).startswith(str(code))
    assert words in capsys.readouterr().err
    assert path.exists() == (verdict == 'verified')
    other = tmp_path / 'net.unverified.safetensors'
    assert other.exists() == (verdict != 'verified')


@pytest.mark.slow
def test_output_and_launcher_are_checked(run_tool, config, checkpoint, packed,
                                         tmp_path):
    result = run_tool(
        PACK, config, checkpoint, '-o', tmp_path / 'x.bin', check=False)
    assert result.returncode and 'must end with .safetensors' in result.stderr
    result = run_tool(
        'test.py', config, packed[0], '--launcher', 'pytorch', check=False)
    assert result.returncode and 'in one process' in result.stderr


def test_another_architecture_is_refused(tiny_configs, checkpoint):
    cfg = Config.fromfile(tiny_configs / 'teacher.py')
    with pytest.raises(CheckpointError, match='does not fit the model'):
        packing.pack(cfg, checkpoint)


def test_another_number_of_classes_is_refused(config, packed):
    cfg = Config.fromfile(config)
    cfg.model.head.num_classes = 7
    with pytest.raises(ValueError, match='10 classes, the config 7'):
        testing.test_packed(cfg, packed[0])


def test_a_file_that_is_not_packed(config, tmp_path):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(b'no')
    with pytest.raises(PackedFileError, match=str(path)):
        testing.test_packed(Config.fromfile(config), path)


PAD = [dict(type='Pad', size=(30, 34)), dict(type='PackInputs')]


def test_an_unknown_transform_is_named(config, checkpoint):
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.pipeline = PAD
    with pytest.raises(LoweringError, match="The transform 'Pad'"):
        packing.pack(cfg, checkpoint)
    file = packing.pack(cfg, checkpoint, preprocessing=False)
    assert file.preprocessing is None
    # The size of the first test image, or the one that is given.
    assert file.program.input_shape == (1, 34, 30)
    file = packing.pack(cfg, checkpoint, size=(40, 36), preprocessing=False)
    assert file.program.input_shape == (1, 40, 36)


def test_class_names_of_the_data_set(config, checkpoint, tmp_path):
    """Where the checkpoint has none, and never a wrong number of them."""
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=state), path)
    cfg = Config.fromfile(config)
    names = packing.pack(cfg, path).classes
    assert len(names) == 10 and names[-1] == 'Ankle boot'
    own = tuple(f'class {i}' for i in range(10))
    meta = dict(dataset_meta=dict(classes=own))
    torch.save(dict(state_dict=state, meta=meta), path)
    assert packing.pack(cfg, path).classes == own
    meta = dict(dataset_meta=dict(classes=own[:3]))
    torch.save(dict(state_dict=state, meta=meta), path)
    assert packing.pack(cfg, path).classes == names


def test_batches_compare_the_preprocessing(config, checkpoint):
    """A preprocessing that is not the pipeline's is found."""
    cfg = Config.fromfile(config)
    model = packing.load_model(cfg, checkpoint)
    file = packing.pack(cfg, checkpoint, model)
    shapes = [x.shape for x in packing.batches(cfg, model, 20, file)]
    assert shapes == [(16, 1, 32, 32), (4, 1, 32, 32)]
    file.preprocessing = replace(file.preprocessing, mean=(72.95, ))
    with pytest.raises(ValueError, match='test image 0 what the test pipel'):
        list(packing.batches(cfg, model, 20, file))
    assert len(list(packing.batches(cfg, model, 1000))) == 7  # of 100 images
