"""Metafile, README and configs say the same."""
import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmreact.analysis import count_ops

ROOT = Path(__file__).resolve().parents[1]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
FILES = [ROOT / name for name in INDEX['Import']]
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
    side = 32 if row['Name'].endswith('_cifar10') else 224
    report = count_ops(MODELS.build(cfg.model), (3, side, side))
    metadata = row['Metadata']
    assert metadata['FLOPs'] == report.flops
    assert metadata['BOPs'] == report.bops
    assert metadata['OPs'] == report.ops
    assert metadata['Parameters'] == report.params
    assert metadata['1-bit Parameters'] == report.one_bit_params
    readme = (ROOT / row['Config']).with_name('README.md').read_text()
    assert f'[{row["Name"]}]({Path(row["Config"]).name})' in readme or \
        'stage1' in row['Name']
    # A result is published, and then says by whom, or has a checkpoint.
    for result in row['Results'] or []:
        assert row['Weights'] or result['Source'].startswith('published')


def test_links_in_readmes_exist():
    pages = [*ROOT.glob('docs/*.md'), *ROOT.glob('configs/*/*.md')]
    for readme in [ROOT / 'README.md', *pages]:
        for link in re.findall(r'\]\(([^)#]+)', readme.read_text()):
            if not link.startswith('http'):
                assert (readme.parent / link).exists(), (readme, link)
