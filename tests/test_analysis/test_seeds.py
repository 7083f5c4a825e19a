import csv
import io
import json

import pytest

from mmreact.analysis.seeds import (Sample, csv_table, interval, json_table,
                                    markdown_table, summarize, text_table)
from mmreact.analysis.seeds_plot import plot_seeds

#: Student's t for 95 %, by degrees of freedom, as printed in any table.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 29: 2.045}


@pytest.mark.parametrize('freedom', T)
def test_interval_is_students(freedom):
    # Values of mean 3 and standard deviation s, whatever their number.
    n = freedom + 1
    values = [3 + (-1)**i for i in range(n)
              ] if n % 2 == 0 else [3, *[3 + (-1)**i for i in range(n - 1)]]
    std = (sum((v - 3)**2 for v in values) / (n - 1))**0.5
    low, high = interval(values)
    assert (high + low) / 2 == pytest.approx(3)
    assert (high - low) / 2 == pytest.approx(T[freedom] * std / n**0.5, 1e-3)


@pytest.mark.parametrize('values', [[], [1.]])
def test_no_interval_of_fewer_than_two(values):
    assert interval(values) == (None, None)


def test_pairs_are_made_by_seed():
    rows = summarize([
        Sample('a', {
            0: 90.,
            1: 80.,
            2: 70.
        }, (10., 20.)),
        Sample('b', {
            2: 71.,
            0: 92.,
            7: 50.
        }),
    ])
    a, b = rows
    assert (a.n, a.mean, a.std, a.seconds) == (3, 80., 10., 15.)
    assert (a.pairs, a.difference, a.low) == (0, None, None)
    # 92 - 90 and 71 - 70; seed 7 has no partner.
    assert (b.n, b.mean, b.pairs, b.difference) == (3, 71., 2, 1.5)
    half = T[1] * 0.5**0.5 / 2**0.5
    assert (b.low, b.high) == pytest.approx((1.5 - half, 1.5 + half), 1e-3)


def test_baseline_by_name():
    samples = [Sample('a', {0: 1.}), Sample('b', {0: 3.})]
    a, b = summarize(samples, 'b')
    assert (a.difference, b.difference) == (-2., None)
    with pytest.raises(ValueError, match="no 'c' to compare.*a, b"):
        summarize(samples, 'c')


@pytest.fixture
def rows():
    return summarize([
        Sample('a|b', {
            0: 90.,
            1: 91.
        }, (1234.4, )),
        Sample('c', {0: 92.5}, (), ('seed 1 failed: ValueError: no, "data"', ))
    ])


def test_text(rows):
    assert text_table(rows) == (
        'method   mean   std  n  difference  95 % interval  seconds\n'
        'a|b     90.50  0.71  2                               1,234\n'
        'c       92.50        1       +2.50\n'
        'c: seed 1 failed: ValueError: no, "data"\n')


def test_markdown(rows):
    lines = markdown_table(rows).splitlines()
    assert lines[2] == r'| a\|b | 90.50 | 0.71 | 2 |  |  | 1,234 |'
    assert lines[4:] == ['', '- c: seed 1 failed: ValueError: no, "data"']
    bars = {line.replace(r'\|', '').count('|') for line in lines[:4]}
    assert bars == {8}


def test_csv_and_json_hold_every_run(rows):
    assert list(csv.DictReader(io.StringIO(csv_table(rows))))[2:] == [
        dict(method='c', seed='0', result='92.5', problem=''),
        dict(
            method='c',
            seed='',
            result='',
            problem='seed 1 failed: ValueError: no, "data"')
    ]
    first, second = json.loads(json_table(rows))
    assert first['values'] == {'0': 90., '1': 91.}
    assert second['difference'] == 2.5 and second['low'] is None


def test_plot_has_every_seed(rows):
    axes, = plot_seeds(rows, 'accuracy/top1').axes
    points = [(float(x), float(y)) for line in axes.lines
              if line.get_marker() == 'o' for x, y in line.get_xydata()]
    assert points == [(90., 0.), (91., 0.), (92.5, 1.)]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ['a|b (n = 2)', 'c (n = 1)']
    with pytest.raises(ValueError, match='nothing to draw'):
        plot_seeds(summarize([Sample('a', {})]), 'accuracy/top1')
