"""The code in the documentation runs and does what is said."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmreact.analysis import count_ops
from mmreact.export import LoweringError, lower, verify
from mmreact.export.rows import LAYERS
from mmreact.layers import BinaryConv2d, RSign
from mmreact.packed import load_packed

ROOT = Path(__file__).resolve().parents[1]


def code_blocks(name, language='python'):
    text = (ROOT / 'docs' / name).read_text()
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


@pytest.fixture(scope='module')
def networks():
    """The two networks of docs/adding_a_network.md, registered for a while."""
    init_default_scope('mmpretrain')
    found = {}
    for source in code_blocks('adding_a_network.md')[:2]:
        exec(compile(source, 'adding_a_network.md', 'exec'), found)
    yield found
    for name in ('ResNetE', 'TwoBranchNet'):
        MODELS.module_dict.pop(name)


def test_resnet_e(networks, tmp_path):
    """The config of the page builds it; it counts as Bi-Real Net-18."""
    text = code_blocks('adding_a_network.md')[2]
    text = text.replace('../', f'{ROOT}/configs/')
    (tmp_path / 'config.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'config.py')
    model = MODELS.build(cfg.model)
    assert type(model.backbone) is networks['ResNetE']
    report = count_ops(model, (3, 224, 224))
    assert (report.bops, report.flops) == (1_676_279_808, 137_793_536)
    convs = [m for m in model.modules() if isinstance(m, BinaryConv2d)]
    assert {m.weight_binarizer for m in convs} == {'sign'}
    signs = [m for m in model.modules() if isinstance(m, RSign)]
    assert signs[0].estimator == dict(type='clip', threshold=1.25)


def test_two_branch_net(networks):
    net = networks['TwoBranchNet'](depth=2, channels=8)
    out, = net(torch.randn(2, 3, 16, 16))
    assert out.shape == (2, 8, 8, 8)
    out.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    report = count_ops(net, (3, 16, 16))
    assert report.bops == 2 * 64 * (64 * 9 + 64)
    real = networks['TwoBranchNet'](
        depth=2, channels=8, weight_binarizer='real')
    net.load_state_dict(real.state_dict(), strict=True)


def test_paths_exist():
    """Files that a page names are there, but those that it adds."""
    added = ('resnet_e', 'resnete', 'popcnt')
    for page in (ROOT / 'docs').glob('*.md'):
        for path in re.findall(
                r'`((?:mmreact|configs|tools|tests|docs)/[\w./-]+\.\w+)`',
                page.read_text()):
            if not any(word in path for word in added):
                assert (ROOT / path).exists(), (page.name, path)


def test_packing_a_network(monkeypatch, tmp_path):
    """The page's network is verified; its foreign layers become bits."""
    monkeypatch.setattr('mmreact.export.rows.LAYERS', dict(LAYERS))
    monkeypatch.chdir(tmp_path)
    first, layers, rows = code_blocks('packing_a_network.md')
    found = {}
    torch.manual_seed(0)
    first = first.replace(".safetensors')\n", ".safetensors', 'reference')\n")
    for source in (first, layers):
        exec(compile(source, 'packing_a_network.md', 'exec'), found)
    assert load_packed('net.safetensors').program.input_shape == (3, 32, 32)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16),
        found['BinaryActivation'](), found['HardBinaryConv'](16, 8),
        torch.nn.BatchNorm2d(8), found['BinaryActivation'](),
        found['HardBinaryConv'](8, 8, 1, 2)).eval()
    with pytest.raises(LoweringError, match=r"torch.sign .*'2' \(BinaryAct"):
        lower(net, (3, 12, 12))
    exec(compile(rows, 'packing_a_network.md', 'exec'), found)
    program = lower(net, (3, 12, 12))
    kinds = [type(op).__name__ for op in program.operations]
    assert kinds == ['Conv2d', *['Sign', 'BinaryConv2d'] * 2]
    report = verify(net, program, torch.randn(8, 3, 12, 12))
    assert report.ok, report
