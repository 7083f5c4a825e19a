"""tools/model_converters/convert_official.py, and what its files are for."""
import runpy

import authors
import pytest
import torch
from mmengine.config import Config

from mmreact.engine import packing, testing
from mmreact.export import verify
from mmreact.utils.checkpoint import load_checkpoint
from mmreact.zoo.converters import reverse_file

TOOL = 'model_converters/convert_official.py'
WIDTH = 4
CONFIG = '''
_base_ = {base!r}
model = dict(backbone=dict(base_channels={width}), head=dict(in_channels=32))
train_cfg = dict(max_epochs=1)
param_scheduler = dict(end=1)
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=64, dataset=dict(data_root={data!r}),
                        **loader)
val_dataloader = dict(batch_size=50, dataset=dict(data_root={data!r}),
                      **loader)
test_dataloader = val_dataloader
'''


@pytest.fixture(scope='module')
def config(tiny_data, tmp_path_factory, request):
    base = request.config.rootpath / (
        'configs/bireal/bireal-resnet18-w16_1xb128_fashion-mnist.py')
    path = tmp_path_factory.mktemp('config') / 'bireal18.py'
    path.write_text(
        CONFIG.format(base=str(base), data=str(tiny_data), width=WIDTH))
    return path


@pytest.fixture(scope='module')
def files(tmp_path_factory, run_tool):
    """The authors' file, ours, and what the tool prints."""
    folder = tmp_path_factory.mktemp('files')
    images = torch.randn(4, 1, 32, 32, generator=torch.Generator())
    state = authors.random_state('bireal18', images, WIDTH, classes=10)
    state['layer1.0.binary_conv.weights'][5] = 0
    checkpoint = dict(
        epoch=255,
        state_dict={
            f'module.{k}': v
            for k, v in state.items()
        },
        best_top1_acc=56.4,
        optimizer={})
    torch.save(checkpoint, folder / 'a.pth.tar')
    result = run_tool(TOOL, folder / 'a.pth.tar', folder / 'a.pth')
    state['layer1.0.binary_conv.weights'][5] = -1e-30  # as ours has it
    return state, folder, result


@pytest.fixture
def run_here(monkeypatch, request):
    """Run the tool in this process; returns its exit code."""

    def run(*args):
        path = request.config.rootpath / 'tools' / TOOL
        monkeypatch.setattr('sys.argv', [str(path), *map(str, args)])
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(path), run_name='__main__')
        return exit.value.code

    return run


def test_it_says_what_it_did(files, run_here, capsys):
    _, folder, result = files
    assert result.stdout.splitlines()[:3] == [
        'bireal18, stage 2, official names, stem of 4 channels, 10 classes',
        '122 keys moved, 0 derived',
        'Not taken over: best_top1_acc, epoch, optimizer'
    ]
    assert "No config has this width: set model.backbone to {'type'" in (
        result.stdout)
    assert result.stderr.splitlines()[-2:] == [
        'Warning: 1 1-bit weights are exactly 0. The authors\' code computes '
        'with 0, mmreact with -1 times the scale. See '
        'docs/official_checkpoints.md.',
        '  backbone.stages.0.0.conv.weight: 1 of 144'
    ]
    assert run_here(folder / 'a.pth', folder / 'b.pth.tar', '--reverse',
                    '--keys') is None
    assert '  backbone.stem.0.weight -> conv1.weight\n' in (
        capsys.readouterr().out)
    first, second = (
        torch.load(folder / name, weights_only=True)
        for name in ('a.pth.tar', 'b.pth.tar'))
    assert first['state_dict'].keys() == second['state_dict'].keys()
    assert all(
        torch.equal(v, second['state_dict'][k])
        for k, v in first['state_dict'].items())


def test_a_wrong_file_is_an_error(files, run_here):
    _, folder, _ = files
    (folder / 'page.pth').write_text('<html>')
    error = run_here(folder / 'page.pth', folder / 'c.pth')
    assert 'page.pth (6 bytes) is a web page' in error
    error = run_here(folder / 'a.pth.tar', folder / 'c.pth', '--arch', 'x')
    assert error.startswith("Error: Unknown network 'x'. Known networks: ")
    assert not (folder / 'c.pth').exists()


def test_testing_and_packing_take_it(files, config, tmp_path):
    """Predictions on real data files are those of the authors' formulas."""
    state, folder, _ = files
    cfg = Config.fromfile(config)
    cfg.work_dir = str(tmp_path)
    metrics = testing.test_checkpoint(cfg, folder / 'a.pth')
    cfg = Config.fromfile(config)
    model = packing.load_model(cfg, folder / 'a.pth')
    batches = list(packing.batches(cfg, model, 100, batch_size=50))
    images = torch.cat([torch.from_numpy(x) for x in batches])
    weights = authors.Weights(flat=True, state=state)
    with torch.no_grad():
        scores, _ = authors.forward('bireal18', weights, images, WIDTH, 10)
        ours = model.head.fc(model.extract_feat(images)[-1])
    # Rounding may move a sign in one image or two.
    same = (ours - scores).abs().amax(1) < 1e-3
    assert same.float().mean() >= .98 and len(scores.argmax(1).unique()) > 3
    labels = torch.arange(100) % 10  # of these files
    top1 = 100 * (ours.argmax(1) == labels).float().mean().item()
    assert metrics['accuracy/top1'] == pytest.approx(top1, abs=1e-3)
    packed = packing.pack(cfg, folder / 'a.pth', model)
    report = verify(model, packed, batches[:1])
    assert report.ok, report


@pytest.mark.slow
def test_training_starts_from_it(files, config, run_tool, tmp_path):
    """With a learning rate of 0 it also ends with it."""
    _, folder, _ = files
    run_tool('train.py', config, '--from', folder / 'a.pth', '--work-dir',
             tmp_path, '--cfg-options', 'optim_wrapper.optimizer.lr=0')
    before, after = (
        load_checkpoint(path)['state_dict']
        for path in (folder / 'a.pth', tmp_path / 'epoch_1.pth'))
    assert before.keys() == after.keys()
    assert after['backbone.stem.1.num_batches_tracked'] == 7 + 4
    moving = ('running_mean', 'running_var', 'num_batches_tracked')
    for key, value in before.items():
        if not key.endswith(moving):
            assert torch.equal(after[key], value), key
    found = reverse_file(tmp_path / 'epoch_1.pth', tmp_path / 'a.pth.tar')
    assert (found.arch, found.stage) == ('bireal18', 2)
