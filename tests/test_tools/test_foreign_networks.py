"""The generated page on public networks against the networks themselves."""
import runpy
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(
    str(ROOT / 'tools/analysis_tools/foreign_networks.py'), run_name='tool')
#: Networks of about a second: packed, with ties, and with words.
SMALL = ('SqueezeNet-1.1', 'ResNet-20 (CIFAR)', 'Swin-T')
#: Their hundreds of megabytes take 10 to 40 seconds each: only their layers
#: are tried here, the other columns when the page is generated.
LARGE = ('AlexNet', 'VGG-11', 'VGG-16-BN', 'WideResNet-50-2')


def read_page():
    """Rows by the name of the network."""
    lines = TOOL['PAGE'].read_text().splitlines()
    table = [line for line in lines if line.startswith('| ')]
    rows = [[cell.strip() for cell in line[1:-1].split('|')] for line in table]
    assert tuple(rows[0]) == TOOL['COLUMNS']
    assert all(len(row) == len(rows[0]) for row in rows)
    return {row[0]: tuple(row) for row in rows[2:]}


def test_page_is_generated():
    assert TOOL['PAGE'].read_text().startswith(TOOL['HEAD'])
    assert list(read_page()) == list(TOOL['NETWORKS'])


@pytest.mark.parametrize('name', TOOL['NETWORKS'])
def test_layers(name):
    """Without weights where these are not needed: they take time."""
    try:
        with torch.device('meta'):
            _, report = TOOL['build'](name)
    except NotImplementedError:  # it computes its widths with tensors
        _, report = TOOL['build'](name)
    assert read_page()[name][2:4] == TOOL['binarized'](report)


def slow_unless_small(names):
    return [
        pytest.param(name, marks=() if name in SMALL else pytest.mark.slow)
        for name in names if name not in LARGE
    ]


@pytest.mark.parametrize('name', slow_unless_small(TOOL['NETWORKS']))
def test_rows(name):
    """All columns. Whether rounding changes the class of the one image, and
    where, depends on the machine; words of torch on its version."""
    row, expected = TOOL['try_network'](name), read_page()[name]
    assert row[:7] == expected[:7]
    assert row[7] == expected[7] or (row[7].startswith('no: ')
                                     and expected[7].startswith('no: '))
    assert row[8].split(':')[0] in {
        '': [''],
        'verified': ['verified', 'undecided'],
        'undecided': ['verified', 'undecided'],
    }[expected[8].split(':')[0]]


def test_the_page_hides_nothing():
    """All learn; what packs is verified, and what does not says why."""
    for row in read_page().values():
        assert row[4] == 'all'
        if row[7].startswith('no: '):
            assert len(row[7]) > 20 and not row[8]
        else:
            assert row[7].endswith(' MB')
            assert row[8] == 'verified' or row[8].startswith('undecided: ')


def test_unknown_names(run_tool):
    result = run_tool(
        'analysis_tools/foreign_networks.py', 'ResNet-19', check=False)
    assert result.returncode == 2
    assert 'ResNet-19' in result.stderr and 'ResNet-18' in result.stderr
