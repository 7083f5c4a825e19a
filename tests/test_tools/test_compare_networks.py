"""The comparison of networks: rows, page, plot, and docs/ops.md."""
import functools
import json
import runpy
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from matplotlib.colors import to_hex
from matplotlib.text import Text

from mmreact.analysis import OpsReport
from mmreact.analysis.network_plot import plot_networks, save_plot
from mmreact.analysis.networks import (COLUMNS, Network, compare,
                                       difference_rows, rounds_to,
                                       select_networks)

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / 'tools/analysis_tools/compare_networks.py'))


def row(name, top1=None, source='published in the paper', **metadata):
    results = top1 and [
        dict(
            Dataset='ImageNet-1k',
            Task='Image Classification',
            Metrics={
                'Top 1 Accuracy': top1,
                'Top 5 Accuracy': top1 + 20
            },
            Source=source)
    ]
    return {
        'Name': name,
        'Metadata': metadata,
        'In Collection': 'Nets',
        'Results': results,
        'Config': f'configs/{name}.py'
    }


PRINTED = dict(BOPs='6.4e9', OPs='1.5e8', Source='the paper')
ROWS = [
    row('a-stage1_8xb32_in1k', 80., Network='A'),  # a stage before the last
    row('a_8xb32_in1k', 60., Network='A', Published=PRINTED),
    row('a_8xb32-9e_in1k', 60., Network='A', Published=PRINTED),  # same result
    row('a_8xb32-99e_in1k', 61., Network='A (long)', Family='Long'),
    row('b-small_8xb32_in1k', 50.),  # named by its config
    row('b-ablation_8xb32_in1k'),  # neither a result nor a name
    row('b-mine_8xb32_in1k', 55., source='measured here'),
    row('c_8xb32_in1k', Network='C', Published=dict(FLOPs='2e8')),
]
#: BOPs, FLOPs, parameters, of which 1-bit, packed bytes.
COUNTS = {
    'a_8xb32_in1k': (6.4e9, 1e8, 3e6, 2e6, 5e6),
    'a_8xb32-99e_in1k': (6.4e9, 1e8, 3e6, 2e6, 5e6),
    'b-small_8xb32_in1k': (0, 5e7, 1e6, 0, 4e6),
    'c_8xb32_in1k': (0, 1.96e8, 1e6, 0, 4e6),
}


class Report(OpsReport):
    """Totals without layers."""

    def __init__(self, bops, flops, *rest):
        super().__init__([], *map(int, rest))
        self.fake = (int(bops), int(flops))

    bops = property(lambda self: self.fake[0])
    flops = property(lambda self: self.fake[1])


def count(config):
    return Report(*COUNTS[Path(config).stem])


@pytest.fixture
def networks():
    return compare([dict(Models=ROWS[:4]), dict(Models=ROWS[4:])], count)


@pytest.fixture
def index(tmp_path):
    (tmp_path / 'metafile.yml').write_text(yaml.safe_dump(dict(Models=ROWS)))
    (tmp_path / 'model-index.yml').write_text('Import: [metafile.yml]')
    return tmp_path / 'model-index.yml'


def test_rows(networks):
    """Which are networks, sorted by OPs; a column is counted or published."""
    assert [dict(zip(COLUMNS, n.cells())) for n in networks] == [
        dict(zip(COLUMNS, cells)) for cells in [
            ('b-small', 'Nets', '1.00', '–', '4.00', '–', '0.500', '0.500',
             '–', '50', '70', 'in the paper'),
            ('C', 'Nets', '1.00', '–', '4.00', '–', '1.960', '1.960', '–', '–',
             '–', '–'),
            ('A', 'Nets', '3.00', '2.00', '5.00', '6.400', '1.000', '2.000',
             '1.5e8*', '60', '80', 'in the paper'),
            ('A (long)', 'Long', '3.00', '2.00', '5.00', '6.400', '1.000',
             '2.000', '–', '61', '81', 'in the paper'),
        ]
    ]


def test_counted_and_published_do_not_mix(networks):
    """Other published figures change no counted column, and the reverse."""
    other = [
        dict(r, Metadata=dict(r['Metadata'], Published=dict(OPs='9e8')))
        for r in ROWS
    ]
    for ours, theirs in zip(networks, compare([dict(Models=other)], count)):
        assert ours.counted == theirs.counted
        assert ours.cells()[:8] == theirs.cells()[:8]
        assert theirs.published == dict(OPs='9e8')
    doubled = compare([dict(Models=ROWS)],
                      lambda c: Report(*(2 * x for x in COUNTS[Path(c).stem])))
    for ours, theirs in zip(networks, doubled):
        assert ours.published == theirs.published
        assert ours.cells()[9:] == theirs.cells()[9:]
        assert ours.cells()[2:8] != theirs.cells()[2:8]


def test_differences(networks):
    """BOPs of A are as printed, and so are C's FLOPs: 1.96e8 is 2e8."""
    assert difference_rows(networks) == [
        '| A | OPs | 200,000,000 | 1.5e8 | -25.0 % |'
    ]


@pytest.mark.parametrize('counted,printed,same', [
    (11862016, '0.12e8', True),
    (163985408, '1.63e8', False),
    (163985408, '1.64e8', True),
    (192886784, '1.93e8', True),
    (149497088, '1.49e8', True),
    (15470264320, '15.5e9', True),
    (15470264320, '15.50e9', False),
    (1250, '1.3e3', True),
    (1249.9, '1.3e3', False),
    (12, '12', True),
])
def test_rounds_to(counted, printed, same):
    assert rounds_to(counted, printed) == same


@pytest.mark.parametrize('published', [
    dict(OPs=1.63e8),
    dict(OPs='1.63e+8'),
    dict(OPs='163 M'),
    dict(Ops='1.63e8'),
])
def test_published_figures_are_quoted(published):
    rows = [row('x_8xb32_in1k', 50., Published=published)]
    with pytest.raises(ValueError, match='Published .* of x_8xb32_in1k .*as '):
        select_networks([dict(Models=rows)])


def test_check_finds_a_stale_page(index, capsys):
    page = index.parent / 'docs/networks.md'
    args = ['--index', str(index), '--check']
    assert TOOL['main'](args, count) == 1  # there is none
    assert TOOL['main'](['--index', str(index), '--write'], count) == 0
    assert '| [A](../configs/a_8xb32_in1k.py) | Nets | 3.00 ' in (
        page.read_text())
    assert (page.parent / 'networks.svg').stat().st_size < 300e3
    capsys.readouterr()
    assert TOOL['main'](args, count) == 0
    page.write_text(page.read_text().replace('6.400', '6.401'))
    assert TOOL['main'](args, count) == 1
    out, err = capsys.readouterr()
    for sign, bops in (('-', '6.401'), ('+', '6.400')):
        assert f'\n{sign}| [A](../configs/a_8xb32_in1k.py) | Nets | 3.00 | ' \
            f'2.00 | 5.00 | {bops} |' in out
    assert 'is not current' in err and '--write' in err


def test_output(index, tmp_path, capsys):
    TOOL['main'](['--index', str(index)], count)
    out = capsys.readouterr().out
    assert out.splitlines()[0].split('  ')[0] == 'Network'
    assert '| A | OPs | 200,000,000 | 1.5e8 |' in out
    TOOL['main'](['--index', str(index), '--json'], count)
    rows = json.loads(capsys.readouterr().out)
    assert rows[2]['counted']['ops'] == 200000000
    assert rows[2]['published'] == dict(BOPs='6.4e9', OPs='1.5e8')
    TOOL['main']([
        '--index',
        str(index), '--markdown',
        str(tmp_path / 'x/y.md'), '--plot',
        str(tmp_path / 'y.png')
    ], count)
    assert 'is generated' in (tmp_path / 'x/y.md').read_text()
    assert (tmp_path / 'y.png').read_bytes().startswith(b'\x89PNG')
    for args, message in ((['--plot', 'x.gif'], '.png or .svg'),
                          (['--index', 'none.yml'], 'no model index')):
        with pytest.raises(SystemExit):
            TOOL['main'](args, count)
        assert message in capsys.readouterr().err


def test_plot(networks, tmp_path):
    """Points at published OPs are filled, at counted ones hollow."""
    figure = plot_networks(networks)
    axes, = figure.axes
    assert axes.get_xscale() == 'log'
    lines = {line.get_label(): line for line in axes.lines}
    assert lines['Nets'].get_xydata().tolist() == [[5e7, 50], [1.5e8, 60]]
    assert lines['Long'].get_xydata().tolist() == [[2e8, 61]]
    hollow = [
        line.get_xydata().tolist() for line in axes.lines
        if to_hex(line.get_markerfacecolor()) == '#ffffff'
    ]
    assert hollow == [[[5e7, 50]], [[2e8, 61]]]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ['Nets', 'Long'] and len(legend) == 4
    assert {text.get_text()
            for text in axes.texts} == {'A', 'A (long)', 'b-small'}
    files = [tmp_path / name for name in ('a.svg', 'b.svg', 'c.png')]
    for path in files:
        save_plot(plot_networks(networks), path)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[2].read_bytes().startswith(b'\x89PNG')


def test_nothing_to_plot(networks):
    with pytest.raises(ValueError, match='nothing to draw'):
        plot_networks([n for n in networks if n.name == 'C'])


def test_labels_do_not_overlap():
    """Even where points are dense, a label covers no other one."""
    networks = [
        Network(
            f'Network-{i}{j}',
            f'family {i}',
            '', {},
            60 + 2 * j + i / 2,
            counted=dict(ops=1e8 * 1.25**(i + j) * 1.1**i)) for i in range(4)
        for j in range(4)
    ]
    networks.append(Network('far', 'real', '', {}, 72, counted=dict(ops=2e10)))
    figure = plot_networks(networks)
    renderer = figure.canvas.get_renderer()
    boxes = [
        Text.get_window_extent(text, renderer) for text in figure.axes[0].texts
    ]
    assert len(boxes) == 17
    for i, box in enumerate(boxes):
        assert not any(map(box.overlaps, boxes[:i]))


def repository_networks():
    return select_networks(TOOL['read_metafiles'](ROOT / 'model-index.yml'))


def printed_ops(network):
    """The least and most OPs that the printed BOPs and FLOPs can mean."""
    bounds = []
    for quantity in ('BOPs', 'FLOPs'):
        printed = Decimal(network.published[quantity])
        half = Decimal('0.5').scaleb(printed.as_tuple().exponent)
        bounds.append([printed - half, printed + half])
    return [b / 64 + f for b, f in zip(*bounds)]


def section(title):
    text = (ROOT / 'docs/ops.md').read_text()
    return text.split(f'# {title}\n')[1].split('\n#')[0]


def test_ops_md_names_what_contradicts_itself():
    """Printed OPs that are not the printed BOPs / 64 + FLOPs, and no other."""
    found = set()
    for network in repository_networks():
        if {'BOPs', 'FLOPs', 'OPs'} <= set(network.published):
            least, most = printed_ops(network)
            printed = Decimal(network.published['OPs'])
            half = Decimal('0.5').scaleb(printed.as_tuple().exponent)
            if printed + half < least or printed - half > most:
                found.add(network.name)
    lines = section('Printed OPs that do not follow from the printed BOPs '
                    'and FLOPs').splitlines()
    named = [line.split(' | ')[0][2:] for line in lines if line[:2] == '| ']
    assert set(named[1:]) == found and 'ReActNet-B' in found


@pytest.mark.slow
def test_repository_pages_are_current(capsys):
    """docs/networks.md, and each difference with its reason in docs/ops.md."""
    count_once = functools.cache(TOOL['count_config'])
    stale = TOOL['main'](['--check'], count_once)
    assert not stale, capsys.readouterr().out
    networks = compare(TOOL['read_metafiles'](ROOT / 'model-index.yml'),
                       lambda config: count_once(ROOT / config))
    rows = difference_rows(networks)
    lines = section('Where the count is not what is printed').splitlines()
    given = [line for line in lines if line.startswith('| ')][1:]
    for row in rows:
        reasons = [line[len(row):] for line in given if line.startswith(row)]
        assert len(reasons) == 1, f'docs/ops.md needs a row {row} why |'
        assert len(reasons[0].strip(' |')) > 20
    assert len(given) == len(rows)  # and none that is no longer so


def test_every_published_row_is_in_the_page():
    """Without counting: the page names all networks and what is published."""
    page = (ROOT / 'docs/networks.md').read_text()
    lines = {line.split('](')[0][3:]: line for line in page.splitlines()}
    for network in repository_networks():
        assert network.name in lines, 'compare_networks.py --write'
        line = lines[network.name]
        assert f'](../{network.config})' in line
        for published in (network.published.get('OPs'), network.top1,
                          network.top5):
            assert published is None or f'| {published}' in line
