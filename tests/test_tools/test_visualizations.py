"""The tools of tools/visualizations and the functions behind them."""
import copy
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image
from torch import nn

from mmreact.analysis.activations import (BINS, draw_distributions,
                                          record_distributions, sign_layers)
from mmreact.analysis.binary_stats import count_signs, layer_statistics
from mmreact.analysis.panels import select_layers
from mmreact.analysis.stats_plot import FIGURES, draw_log, find_logs, read_log
from mmreact.engine.activations import activation_distributions
from mmreact.layers import BinaryLinear, RPReLU, RSign

ROOT = Path(__file__).resolve().parents[2]


def write_log(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return path


def line(step, layers=2, value=0.5):
    made = dict(step=step)
    for i in range(layers):
        made[f'sign_flips/a.{i}'] = value
        for j, suffix in enumerate(('min', 'median', 'max')):
            made[f'alpha_{suffix}/b.{i}'] = value + j
    return made


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool in this process; return its status and what it prints."""

    def run(tool, *args):
        path = str(ROOT / 'tools/visualizations' / tool)
        monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(path, run_name='__main__')
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


@pytest.mark.parametrize('layers', [1, 4, 5, 6, 11])
@pytest.mark.parametrize('steps', [1, 3])
def test_panels_of_the_log(tmp_path, layers, steps):
    """A figure a statistic, a panel a layer, with what was logged."""
    path = write_log(tmp_path / 'x.json',
                     [line(i + 1, layers, i) for i in range(steps)])
    figures = draw_log(read_log(path))
    assert list(figures) == ['sign_flips', 'alpha']
    for name, figure in figures.items():
        prefix, middle = ('a', 0) if name == 'sign_flips' else ('b', 1)
        assert [axes.get_title() for axes in figure.axes
                ] == [f'{prefix}.{i}' for i in range(layers)]
        for axes in figure.axes:
            curve, = axes.lines
            assert curve.get_xdata().tolist() == list(range(1, steps + 1))
            assert curve.get_ydata().tolist() == [
                i + middle for i in range(steps)
            ]
            assert len(axes.collections) == (name == 'alpha')  # the band
        # The lowest panel of each column says what the iterations are.
        for axes in figure.axes[-min(layers, 5):]:
            assert axes.xaxis.get_tick_params()['labelbottom']


def test_layers_are_selected(tmp_path):
    path = write_log(tmp_path / 'x.json', [line(1, 12)])
    figures = draw_log(read_log(path), ['a.1*', '*.3'])
    assert [axes.get_title() for axes in figures['sign_flips'].axes
            ] == ['a.1', 'a.3', 'a.10', 'a.11']
    assert len(figures['alpha'].axes) == 1
    with pytest.raises(ValueError, match=r"'c\.\*' matches no layer.*a\.0, b"):
        draw_log(read_log(path), ['a.*', 'c.*'])
    assert select_layers(['a', 'b'], []) == select_layers(['a', 'b'])


def test_a_layer_that_is_logged_later(tmp_path):
    """As flips after a resume, which the first line may lack."""
    lines = [dict(step=1, **{'dead_channels/b': 0}), line(2), line(3)]
    figures = draw_log(read_log(write_log(tmp_path / 'x.json', lines)))
    curve, = figures['sign_flips'].axes[0].lines
    assert curve.get_xdata().tolist() == [2, 3]


def test_resumed_logs_are_joined(tmp_path):
    """What was repeated is replaced; an earlier stage's log is another."""
    for name, steps, value in (('20260101_1', (1, 2, 3, 4), 0),
                               ('20260101_2', (3, 4, 5), 1)):
        write_log(tmp_path / name / 'vis_data/binary_stats.json',
                  [line(step, value=value) for step in steps])
    write_log(tmp_path / 'stage1/20260101_3/vis_data/binary_stats.json',
              [line(9)])
    for source in (tmp_path, str(tmp_path)):
        log = read_log(source)
        assert [(step, values['sign_flips/a.0'])
                for step, values in log.items()] == [(1, 0), (2, 0), (3, 1),
                                                     (4, 1), (5, 1)]
    folder = tmp_path / '20260101_2'
    path = folder / 'vis_data/binary_stats.json'
    for source in (folder, folder / 'vis_data', path):
        assert find_logs(source) == [path]


def test_a_killed_run(tmp_path):
    """The last line may be unfinished."""
    path = write_log(tmp_path / 'x.json', [line(1), line(2)])
    path.write_text(path.read_text() + json.dumps(line(3))[:-9])
    assert list(read_log(path)) == [1, 2]


# content of a log, words of the error
BAD_LOGS = [
    ('', 'is empty'),
    ('{"sign_flips/a": 1', 'is empty'),
    ('{"step": 1, "loss": 0.5}\n', 'line 1.*scalars.json'),
    ('{"step": 1, "sign_flips/a": 1}\n[1]\n', 'line 2'),
    ('{"sign_flips/a": 1}\n', 'line 1'),
    ('{"step": "1", "sign_flips/a": 1}\n', 'line 1'),
    ('{"step": 1, "sign_flips/a": "1"}\n', 'line 1'),
    ('\x00\udcff\n', 'line 1'),
    ('[' * 100000 + '\n', 'line 1'),
    ('{"step": 1, "other/a": 1}\n', 'none of the statistics'),
]


@pytest.mark.parametrize('text,words', BAD_LOGS)
def test_bad_logs(tmp_path, text, words, run):
    (tmp_path / 'x.json').write_text(text, errors='surrogateescape')
    with pytest.raises(ValueError, match=words):
        draw_log(read_log(tmp_path / 'x.json'))
    status, out, _ = run('plot_binary_stats.py', tmp_path / 'x.json')
    assert status.startswith('Error: ') and not out
    assert not (tmp_path / 'binary_stats').exists()


@pytest.mark.parametrize('stage', [None, 'stage1'])
def test_no_log(tmp_path, stage, run):
    if stage:
        write_log(tmp_path / stage / '1/vis_data/binary_stats.json', [line(1)])
    status, *_ = run('plot_binary_stats.py', tmp_path)
    assert 'holds no binary_stats.json' in status
    assert (str(tmp_path /
                stage) if stage else 'binary_stats.interval') in (status)


@pytest.mark.parametrize('out', [[], ['--out', 'some/where']])
def test_plot_tool(tmp_path, run, out, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / 'work/1/vis_data/binary_stats.json',
              [line(1), line(2)])
    status, printed, _ = run('plot_binary_stats.py', 'work', *out)
    folder = tmp_path / (out[1] if out else 'work/binary_stats')
    assert not status
    assert sorted(path.name for path in folder.iterdir()) == [
        'alpha.png', 'sign_flips.png'
    ]
    assert [Path(name).resolve() for name in printed.splitlines()
            ] == [folder / 'sign_flips.png', folder / 'alpha.png']
    for path in folder.iterdir():
        assert np.ptp(np.array(Image.open(path))) == 255


def test_every_statistic_is_drawn_and_explained():
    sign = a_sign([0.])
    layers = [
        (sign, count_signs(sign, torch.zeros(1, 1)), None),
        (RPReLU(1), None, None),
        (BinaryLinear(1, 1), None, torch.zeros(1, 1, dtype=torch.bool)),
    ]
    names = {
        re.sub('_(min|median|max)$', '', name)
        for layer in layers
        for name in layer_statistics(*layer)
    }
    assert names == set(FIGURES)
    page = (ROOT / 'docs/watching_training.md').read_text()
    assert all(f'`{name}' in page for name in names)


def a_sign(alpha, **kwargs):
    layer = RSign(len(alpha), **kwargs)
    if layer.alpha is not None:
        layer.alpha.data = torch.tensor(alpha)
    return layer


@pytest.mark.parametrize('learnable', [True, False])
def test_distribution_by_hand(learnable):
    """Two batches, against numpy."""
    net = nn.Sequential(a_sign([0.5, -1.], learnable=learnable))
    batches = [torch.randn(6, 2, 3), 2 * torch.randn(1, 2, 3)]
    batches[0][0, 0, 0] = 0.5  # at the threshold
    batches[0][0, 0, 1] = 1e9  # beyond the histogram
    with record_distributions(sign_layers(net)) as found:
        for x in batches:
            net(x)
    one, = found.values()
    assert not net[0]._forward_pre_hooks
    x = np.concatenate([b.numpy().transpose(1, 0, 2).reshape(2, -1)
                        for b in batches], 1)  # yapf: disable
    shifted = x - (np.array([[0.5], [-1]], np.float32) if learnable else 0)
    assert one.number == x.size == 42
    assert one.share_before == pytest.approx((x > 0).mean())
    assert one.share_after == pytest.approx((shifted > 0).mean())
    first = x[:, :18].astype(float), shifted[:, :18].astype(float)
    reach = [(v.mean(), 4 * v.std()) for v in first]
    np.testing.assert_allclose(
        one.edges[[0, -1]],
        [min(m - r for m, r in reach),
         max(m + r for m, r in reach)])
    for own, values in ((one.before, x), (one.after, shifted)):
        np.testing.assert_array_equal(own, np.histogram(values, one.edges)[0])
    assert one.density(one.before) @ np.diff(one.edges) == pytest.approx(
        one.before.sum() / 42)
    assert one.learnable is learnable and len(one.before) == BINS


def test_constant_and_broken_activations():
    net = nn.Sequential(a_sign([0.]))
    with record_distributions(sign_layers(net)) as found:
        net(torch.full((2, 1, 3), 2.))
    assert found['0'].share_after == 1 and found['0'].before.sum() == 6
    for value in (float('nan'), float('inf')):
        with pytest.raises(ValueError, match='0 gets values.*not finite'):
            with record_distributions(sign_layers(net)):
                net(torch.tensor([[[1., value]]]))
        assert not net[0]._forward_pre_hooks


def test_layers_of_activations():
    net = nn.Sequential(a_sign([0.]), nn.ReLU(), a_sign([0.]))
    assert list(sign_layers(net)) == ['0', '2']
    assert list(sign_layers(net, ['2'])) == ['2']
    with pytest.raises(ValueError, match="'5' matches no layer.*0, 2"):
        sign_layers(net, ['5'])
    with pytest.raises(ValueError, match='has no RSign'):
        sign_layers(nn.Sequential(nn.ReLU()))


def distributions(*names):
    net = nn.ModuleDict({name: a_sign([.5]) for name in names})
    with record_distributions(sign_layers(net)) as found:
        for layer in net.values():
            layer(torch.randn(2, 1, 5))
    return found


@pytest.mark.parametrize('rows', [1, 3])
@pytest.mark.parametrize('columns', [1, 2])
def test_panels_of_distributions(rows, columns):
    """A row a layer, a column a checkpoint."""
    names = list('abc')[:rows]
    found = {f'checkpoint {i}': distributions(*names) for i in range(columns)}
    figure = draw_distributions(found)
    assert len(figure.axes) == rows * columns
    titles = [axes.get_title(loc='left') for axes in figure.axes]
    for i, name in enumerate(names):
        for j, layers in enumerate(found.values()):
            title = titles[i * columns + j]
            assert title.startswith(f'{name}: {layers[name].share_after:.1%}')
    assert [text.get_text() for axes in figure.axes
            for text in axes.texts] == list(found)
    legend, = figure.legends
    assert len(legend.get_texts()) == 2


def test_other_layers_cannot_stand_beside():
    found = dict(one=distributions('a', 'b'), two=distributions('b', 'c'))
    with pytest.raises(ValueError, match='two has other layers.*: a, c'):
        draw_distributions(found)


@pytest.fixture(scope='module')
def stages(tiny_configs, tmp_path_factory):
    """Two configs and a checkpoint of each."""
    import mmreact.models  # noqa: F401, registers
    folder = tmp_path_factory.mktemp('stages')
    made = []
    for name in ('stage1', 'stage2'):
        config = tiny_configs / f'{name}.py'
        torch.manual_seed(0)
        model = MODELS.build(dict(
            Config.fromfile(config).model,
            _scope_='mmpretrain'))  # yapf: disable
        for module in model.modules():
            if isinstance(module, RSign):
                module.alpha.data.fill_(0.1)
        path = folder / name / 'epoch_2.pth'
        path.parent.mkdir()
        torch.save(dict(state_dict=model.state_dict()), path)
        made.append((config, path))
    return made


@pytest.mark.parametrize('split', ['test', 'train'])
def test_images_of_a_set(stages, split):
    """Spread over the set, through the test pipeline."""
    config, path = stages[0]
    cfg = Config.fromfile(config)
    whole, part = (
        activation_distributions(cfg, path, n, split) for n in (1000, 3))
    # tiny_data has 256 and 100 images; the first sign sees 16x16x16 values.
    size = dict(test=100, train=256)[split]
    first = next(iter(whole))
    assert whole[first].number == size * 16**3
    assert part[first].number == 3 * 16**3
    assert 0 < part[first].share_after < part[first].share_before < 1


@pytest.mark.parametrize('case', [1, 2, 3])
def test_activation_tool(stages, tmp_path, run, case):
    (config1, path1), (config2, path2) = stages
    args = [[config1, path1], [config1, path1, path1],
            [config1, path1, config2, path2]][case - 1]
    out = tmp_path / 'new/x.png'
    status, printed, _ = run('activation_distribution.py', *args, '--images',
                             4, '--layers', 'backbone.*.sign1', '--out', out)
    assert not status and printed.splitlines()[-1] == str(out)
    width, height = Image.open(out).size
    assert width == 420 * (1 if case == 1 else 2) and height > 300


# what is changed, words of the error
WRONG = [
    (dict(checkpoint='no/such.pth'), 'There is no checkpoint no/such.pth'),
    (dict(config='no/such.py'), 'no/such.py'),
    (dict(more=['--layers', 'neck.*']), 'matches no layer'),
    (dict(more=['--data-root', 'no/data']), 'no/data'),
    (dict(more=['--cfg-options', 'model.backbone.rsign=False']), 'differ'),
    (dict(teacher=True), 'has no RSign'),
]


@pytest.mark.parametrize('change,words', WRONG)
def test_errors_of_the_activation_tool(stages, tiny_configs, tmp_path, run,
                                       change, words):
    config, path = stages[0]
    if change.get('teacher'):
        config, path = tiny_configs / 'teacher.py', tmp_path / 't.pth'
        model = MODELS.build(dict(
            copy.deepcopy(Config.fromfile(config).model),
            _scope_='mmpretrain'))  # yapf: disable
        torch.save(model.state_dict(), path)
    out = tmp_path / 'x.png'
    status, *_ = run('activation_distribution.py',
                     change.get('config', config),
                     change.get('checkpoint',
                                path), '--out', out, '--images', 2,
                     *change.get('more', []))
    assert status.startswith('Error: ') and words in status
    assert not out.exists()


@pytest.mark.parametrize('args,words', [
    (['--images', '0'], 'positive'),
    (['--out', 'x.jpg'], '.png or .svg'),
    (['c', 'd', 'e'], 'at most'),
])
def test_bad_arguments(tmp_path, run, args, words):
    given = [] if '--out' in args else ['--out', 'x.png']
    status, _, err = run('activation_distribution.py', 'a', 'b', *args, *given)
    assert status == 2 and words in err
