"""The tables in docs are what the committed results say."""
import json
import re

import pytest

from benchmarks import report, run_all, tables, targets
from benchmarks.networks import GROUPS

RESULTS = report.read(report.RESULTS)
PAGES = {
    name: (report.DOCS / name).read_text('utf-8')
    for name in report.PAGES
}
PAGE = PAGES['performance.md']


def row(engine, threads=1, least=1., median=2.):
    return dict(
        network='ReActNet-A',
        engine=engine,
        threads=threads,
        min_ms=least,
        median_ms=median)


@pytest.mark.parametrize('name', PAGES)
def test_pages_are_current(name):
    assert report.fill(PAGES[name], RESULTS,
                       report.PAGES[name]) == PAGES[name], (
                           'run: python -m benchmarks.report')


def test_plots_are_there():
    names = re.findall(r'\]\((performance_\w+\.svg)\)', PAGE)
    assert len(names) == 2
    for name in names:
        path = report.DOCS / name
        assert path.read_text('utf-8').startswith('<?xml')
        assert path.stat().st_size < 200_000


def test_results_are_whole():
    """All that run_all measures, each with what it was measured with."""
    assert {path.stem
            for path in report.RESULTS.iterdir()} == set(
                run_all.RUNS) == set(RESULTS)
    for name, (module, *options) in run_all.RUNS.items():
        found = RESULTS[name]
        assert found['command'] == (
            f'python -m benchmarks.{module} {" ".join(options)}'.strip())
        assert found['machine']['cpu'] and found['date']
        if module == 'networks':
            group = options[1] if '--group' in options else 'all'
            measured = {r['network'] for r in found['results']}
            assert measured == set(GROUPS[group]) and not found['skipped']


def test_rivals_ran_in_8_bits():
    for found in RESULTS.values():
        for r in found['results']:
            if 'int8' in r.get('engine', ''):
                assert r['layers'] and all(
                    name.startswith('Q') or name.endswith('I8')
                    for name in r['layers'])


@pytest.mark.parametrize('engine,bits,expected', [
    ('openvino-int8', 8, 'OpenVINO, int8 (NNCF)'),
    ('openvino-int8', 7, 'OpenVINO, int8 with 7-bit weights (NNCF)'),
    ('onnxruntime-int8', 7, 'ONNX Runtime, int8 with 7-bit weights'),
    ('native:avx2', None, 'native, avx2 forced'),
])
def test_labels(engine, bits, expected):
    """They say so where weights have a reduced range."""
    assert tables.label(dict(engine=engine, weight_bits=bits)) == expected


def test_a_changed_result_is_seen(tmp_path):
    for path in report.RESULTS.iterdir():
        data = json.loads(path.read_text())
        if path.stem == 'networks_1':
            data['results'][0]['min_ms'] *= 2
        (tmp_path / path.name).write_text(json.dumps(data))
    changed = report.read(tmp_path)
    assert report.fill(PAGE, changed, report.PAGES['performance.md']) != PAGE


def test_report_writes_pages_and_plots(tmp_path):
    for name, text in PAGES.items():
        emptied = report.MARKER.sub(lambda m: f'{m[1]}{m[3]}', text)
        assert len(emptied) < len(text) - 500
        (tmp_path / name).write_text(emptied)
    assert report.main(['--docs', str(tmp_path)]) is None
    for name, text in PAGES.items():
        assert (tmp_path / name).read_text() == text
    assert len(list(tmp_path.glob('*.svg'))) == 2


def test_errors(tmp_path):
    error = report.main(['--results', str(tmp_path)])
    assert 'layers.json is missing' in error and 'run_all' in error
    for name in PAGES:
        (tmp_path / name).write_text('<!-- targets -->\n<!-- end -->\n')
    with pytest.raises(ValueError, match='should have machine, targets'):
        report.main(['--docs', str(tmp_path)])


def test_ratio_and_speed_up():
    """Rivals count by their fastest, for minima and medians apart."""
    results = dict(
        networks_1=dict(results=[
            row('native', least=2., median=6.),
            row('a', least=4., median=6.),
            row('b', least=5., median=5.)
        ]),
        scaling=dict(
            results=[row('native', 1, 8., 9.),
                     row('native', 2, 4., 3.)]))
    rivals = targets.engines('ReActNet-A', 'a', 'b')
    assert targets.ratio(targets.NATIVE, *rivals)(results) == (0.5, 1.2)
    assert targets.speed_up(targets.NATIVE, 2)(results) == (2., 3.)
    with pytest.raises(KeyError, match='ReActNet-A/c on 1 threads'):
        targets.ratio(targets.NATIVE, ('ReActNet-A', 'c'))(results)


@pytest.mark.parametrize('at_least,pair,expected', [
    (False, (1., 1.), 'yes'),
    (False, (0.9, 1.1), 'minimum only'),
    (False, (1.1, 0.9), 'median only'),
    (False, (1.1, 1.2), '**no**'),
    (True, (1., 1.), 'yes'),
    (True, (0.9, 0.8), '**no**'),
    (True, (1.1, 0.9), 'minimum only'),
])
def test_verdict(at_least, pair, expected):
    target = targets.Target('', '', 1., None, at_least)
    assert targets.verdict(target, *pair) == expected


def test_targets_without_results():
    empty = dict.fromkeys(RESULTS, dict(results=[]))
    assert {r[-1] for r in targets.rows(empty)} == {'not measured'}
