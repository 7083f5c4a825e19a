"""Metafile, README and configs say the same."""
import re
from importlib.metadata import distributions
from pathlib import Path

import mmpretrain
import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmreact import zoo
from mmreact.analysis import count_ops
from mmreact.zoo.download import file_hash
from mmreact.zoo.rows import PACKAGE

ROOT = Path(__file__).resolve().parents[1]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
FILES = [ROOT / name for name in INDEX['Import']]
ON_FORKS = any(d.metadata['Name'] == 'onedl-mmpretrain'
               for d in distributions())
MODEL_ROWS = [
    row for path in FILES for row in yaml.safe_load(path.read_text())['Models']
]


def test_every_imagenet_config_has_a_row():
    configs = {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'configs').glob('*/*_in1k.py')
        if path.parent.name != '_base_'
    }
    rows = {row['Config'] for row in MODEL_ROWS}
    assert configs == {name for name in rows if name.endswith('_in1k.py')}
    assert all(row['Name'] == Path(row['Config']).stem for row in MODEL_ROWS)


@pytest.mark.parametrize('row', MODEL_ROWS, ids=lambda row: row['Name'])
def test_row_is_what_the_counter_counts(row):
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(ROOT / row['Config'])
    side = 224 if row['Name'].endswith('_in1k') else 32
    channels = cfg.model.get('backbone', {}).get('in_channels', 3)
    report = count_ops(MODELS.build(cfg.model), (channels, side, side))
    metadata = row['Metadata']
    assert metadata['FLOPs'] == report.flops
    assert metadata['BOPs'] == report.bops
    assert metadata['OPs'] == report.ops
    assert metadata['Parameters'] == report.params
    assert metadata['1-bit Parameters'] == report.one_bit_params
    readme = (ROOT / row['Config']).with_name('README.md').read_text()
    assert f'[{row["Name"]}]({Path(row["Config"]).name})' in readme or \
        'stage1' in row['Name']
    # A result is published, and then says by whom, or has weights.
    for result in row['Results'] or []:
        assert row['Weights'] or row.get(
            'Packed') or result['Source'].startswith('published')
    check_accuracy_in_readme(row, readme)


def check_accuracy_in_readme(row, readme):
    """The line of a config gives the accuracies of its row, and no other."""
    lines = [x for x in readme.splitlines() if f'| [{row["Name"]}](' in x]
    results = row['Results'] or []
    for line in lines[:1]:
        cells = [cell.strip() for cell in line.split('|')]
        given = {float(x) for x in cells if re.fullmatch(r'\d+\.\d+', x)}
        for result in results:
            assert set(result['Metrics'].values()) <= given, line
        assert results or not given, line


def test_catalogue_has_every_row():
    assert zoo.list_models() == sorted(row['Name'] for row in MODEL_ROWS)
    for row in MODEL_ROWS:
        assert Path(zoo.info(row['Name']).config).samefile(ROOT /
                                                           row['Config'])


def zoo_files():
    rows = [zoo.info(name) for name in zoo.list_models()]
    return [
        file for row in rows
        for file in (row.weights, row.original, row.packed) if file
    ]


def test_files_are_told_apart_by_name():
    """On a mirror and in the cache."""
    names = [file.name for file in zoo_files()]
    assert len(names) == len(set(names)) >= 13


def test_files_of_the_package():
    """Each has one row, which says what it is."""
    rows = {file.path: file for file in zoo_files() if file.path}
    there = [p for p in (PACKAGE / 'weights').glob('*') if p.name[0] != '.']
    assert set(rows) == set(map(str, there))
    for path, file in rows.items():
        assert file_hash(Path(path)) == file.sha256
        assert Path(path).stat().st_size == file.bytes


@pytest.mark.parametrize('folder', ['resnet', 'vgg'])
def test_mmpretrains_weights_are_its_own(folder):
    """Addresses, the hashes in them and accuracies.

    The forks have the same files elsewhere: there, names are compared.
    """
    theirs = Path(mmpretrain.__file__).parent / '.mim/configs' / folder
    theirs = yaml.safe_load((theirs / 'metafile.yml').read_text())['Models']
    theirs = {row['Name']: row for row in theirs}
    ours = yaml.safe_load(
        (ROOT / 'configs' / folder / 'metafile.yml').read_text())['Models']
    for row in ours:
        weights = [r['Weights'] for r in (row, theirs[row['Name']])]
        if ON_FORKS:
            weights = [address.split('/')[-1] for address in weights]
        assert weights[0] == weights[1]
        metrics = [
            r['Results'][0]['Metrics'] for r in (row, theirs[row['Name']])
        ]
        assert metrics[0] == metrics[1]


@pytest.mark.parametrize('teacher,name', [
    ('resnet18_in1k', 'resnet18_8xb32_in1k'),
    ('resnet34_in1k', 'resnet34_8xb32_in1k'),
    ('vgg16bn_in1k', 'vgg16bn_8xb32_in1k'),
])
def test_teachers_are_in_the_catalogue(teacher, name):
    cfg = Config.fromfile(ROOT / f'configs/_base_/teachers/{teacher}.py')
    assert cfg.teacher.checkpoint == zoo.info(name).weights.url


def test_authors_files_are_in_the_readme():
    for row in MODEL_ROWS:
        if row.get('Converted From'):
            readme = (ROOT / row['Config']).with_name('README.md').read_text()
            assert row['Name'] in readme.split('## Weights')[1], row['Name']


def test_links_in_readmes_exist():
    pages = [*ROOT.glob('docs/*.md'), *ROOT.glob('configs/*/*.md')]
    for readme in [ROOT / 'README.md', *pages]:
        for link in re.findall(r'\]\(([^)#]+)', readme.read_text()):
            if not link.startswith('http'):
                assert (readme.parent / link).exists(), (readme, link)
