"""Names, rows, and the files that they name."""
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_packed import build_packed, save

from mmreact import zoo
from mmreact.packed import PackedFileError, PackedModel, load_packed
from mmreact.zoo import ZooError, catalogue
from mmreact.zoo.rows import UNKNOWN, read_row

ROOT = Path(__file__).resolve().parents[2]
FROM = {'Weights From': 'published by a test'}


@pytest.fixture
def packed_bytes(tmp_path):
    return save(tmp_path / 'made')


def test_names():
    names = zoo.list_models()
    assert names == sorted(names) and len(names) >= 58
    assert zoo.list_models('reactnet-a_') == [
        'reactnet-a_8xb32-120e_in1k', 'reactnet-a_8xb32-256e_in1k',
        'reactnet-a_8xb32_in1k'
    ]
    assert zoo.list_models('*vgg1[13]bn') == [
        'vgg11bn_8xb32_in1k', 'vgg13bn_8xb32_in1k'
    ]
    assert zoo.list_models('nothing') == []


@pytest.mark.parametrize('name,close', [
    ('reactnet-a', 'reactnet-a_8xb32_in1k'),
    ('vgg16_8xb32-in1k', 'vgg16_8xb32_in1k'),
    ('bireal18', 'bireal-resnet18_8xb64_in1k'),
    ('', None),
    ('/etc/passwd', None),
])
def test_unknown_names(name, close):
    for function in (zoo.info, zoo.packed_file, zoo.checkpoint_file,
                     zoo.original_file, PackedModel.from_zoo):
        with pytest.raises(ZooError, match=f'no model {name!r}') as error:
            function(name)
        assert 'list_models()' in str(error.value)
        assert close is None or close in str(error.value)


def test_where_weights_come_from():
    row = zoo.info('vgg16bn_8xb32_in1k')
    assert row.origin == 'published by MMPretrain'
    assert row.weights.sha256 == '7e55cd29'
    assert row.weights.name.endswith('-7e55cd29.pth')
    assert 'first 8 digits' in row.weights.checked
    row = zoo.info('reactnet-a_8xb32_in1k')
    assert row.origin == "the authors' file, to convert"
    assert row.weights is None and row.original.sha256 == ''
    assert 'no hash is known' in row.original.checked
    row = zoo.info('reactnet-b_8xb32_in1k')
    assert row.origin == 'none' and not (row.weights or row.original)
    assert row.published[0]['Metrics'] == {'Top 1 Accuracy': 70.1}
    assert row.measured == ()


def test_no_weights_is_said():
    with pytest.raises(ZooError, match='No checkpoint of reactnet-b.*None is'):
        zoo.checkpoint_file('reactnet-b_8xb32_in1k')
    with pytest.raises(ZooError, match='download reactnet-a_8xb32_in1k --or'):
        zoo.checkpoint_file('reactnet-a_8xb32_in1k')
    with pytest.raises(ZooError, match='No packed file .*deployment/pack.py'):
        zoo.packed_file('reactnet-a_8xb32_in1k')
    with pytest.raises(ZooError, match='authors of reactnet-b_8xb32_in1k is'):
        zoo.original_file('reactnet-b_8xb32_in1k')


def test_a_packed_file_in_the_package(make_catalogue, package, packed_bytes,
                                      published, monkeypatch):
    monkeypatch.setenv('MMREACT_OFFLINE', '1')
    path = package / 'weights/small.safetensors'
    path.write_bytes(packed_bytes)
    fields = published(packed_bytes, File='weights/small.safetensors')
    make_catalogue(Packed=fields, **FROM)
    assert zoo.packed_file('small') == path
    with pytest.raises(ZooError, match='There is a packed file: PackedModel'):
        zoo.checkpoint_file('small')
    model = PackedModel.from_zoo('small', backend='reference', threads=1)
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 9)).astype(np.float32)
    expected = PackedModel(build_packed(), 'reference')(x)
    np.testing.assert_array_equal(model(x), expected)
    path.write_bytes(packed_bytes[:-1] + b'?')
    with pytest.raises(ZooError, match='was changed: .*Install mmreact again'):
        zoo.packed_file('small')


def test_a_packed_file_elsewhere(make_catalogue, make_server, packed_bytes,
                                 published, tmp_path):
    server = make_server(packed_bytes)
    url = f'{server.url}/small.safetensors'
    make_catalogue(Packed=published(packed_bytes, URL=url), **FROM)
    path = zoo.packed_file('small')
    assert path == tmp_path / 'cache/small.safetensors'
    assert load_packed(path).classes == build_packed().classes
    zoo.packed_file('small')
    assert len(server.asked) == 1
    assert PackedModel.from_zoo('small').program.input_shape == (3, 9, 9)


def test_a_lost_file_of_the_package_is_downloaded(make_catalogue, make_server,
                                                  package, packed_bytes,
                                                  published, tmp_path):
    server = make_server(packed_bytes)
    fields = published(
        packed_bytes,
        File='weights/small.safetensors',
        URL=f'{server.url}/other-name')
    make_catalogue(Packed=fields, **FROM)
    assert zoo.packed_file('small') == tmp_path / 'cache/small.safetensors'


def test_a_pickle_in_place_of_a_packed_file(make_catalogue, make_server,
                                            published):
    pickle = b'\x80\x04cos\nsystem\n(S"true"\ntR.'
    url = f'{make_server(pickle).url}/small.safetensors'
    make_catalogue(Packed=published(pickle, URL=url), **FROM)
    with pytest.raises(PackedFileError, match='could run code'):
        PackedModel.from_zoo('small')


def test_results_are_kept_apart(make_catalogue):
    results = [
        dict(Dataset='D', Task='T', Metrics={}, Source=source)
        for source in ('measured here: command', 'published in the paper')
    ]
    make_catalogue(Results=results)
    row = zoo.info('small')
    assert row.measured == (results[0], ) and row.published == (results[1], )


def test_trained_here(make_catalogue):
    trained = dict(Command='train.py', Data='D', Date='2026-11-24')
    make_catalogue(Trained=trained)
    assert zoo.info('small').origin == 'trained here'
    assert zoo.info('small').to_dict()['trained'] == trained


HASH = '0' * 64


def test_weights_without_an_address(make_catalogue, tmp_path, monkeypatch):
    """A name is enough for a mirror, or to be put into the cache."""
    make_catalogue(**{'Weights': 'net-2e99758548972a8e.pth', **FROM})
    with pytest.raises(ZooError, match='at no address. Put it there: '):
        zoo.checkpoint_file('small')
    (tmp_path / 'net-2e99758548972a8e.pth').write_bytes(b'2')
    monkeypatch.setenv('MMREACT_ZOO_URL', tmp_path.as_uri())
    with pytest.raises(ZooError, match='sha256 is d4735e3a265e16ee'):
        zoo.checkpoint_file('small')


WRONG_ROWS = {
    'no config': (dict(Config=None), "'small' has no 'Config'"),
    'no name': (dict(Name=None), "has no 'Name'"),
    'no origin': (dict(Weights='https://a/b-01234567.pth'),
                  'neither Trained nor Weights From'),
    'trained when': (dict(Trained=dict(Command='c')), 'no Data, Date'),
    'unsourced result': (dict(Results=[dict(Metrics={}, Source='me')]),
                         "'published' or 'measured here', it is 'me'"),
    'a file is no mapping': (dict(Packed='a'), 'metafile.yml: '),
    'no place': (dict(Packed=dict(Bytes=1)), 'Packed needs File or URL'),
    'ftp': (dict(Packed=dict(URL='ftp://a/b')), "file://, not 'ftp://a/b'"),
    'no file name': (dict(Packed=dict(URL='https://a/')), 'names no file'),
    'upwards': (dict(Packed=dict(File='weights/../../a')), 'names no file'),
    'size':
    (dict(Packed=dict(URL='https://a/b', Bytes='1 MB')), "Bytes is '1 MB'"),
    'short hash': (dict(Packed=dict(URL='https://a/b', SHA256='0' * 8)),
                   'SHA256 has 64 hex digits'),
    'upper case':
    (dict(Packed=dict(URL='https://a/b', SHA256='A' * 64)), 'in lower case'),
    'unhashed in the package': (dict(Packed=dict(File='weights/a', Bytes=1)),
                                'in the package: it needs SHA256'),
    'unsized in the package':
    (dict(Packed=dict(File='weights/a', SHA256=HASH)), 'and Bytes'),
}


@pytest.mark.parametrize('case', WRONG_ROWS)
def test_wrong_rows(make_catalogue, case):
    fields, message = WRONG_ROWS[case]
    make_catalogue(**fields)
    with pytest.raises(ZooError, match='metafile.yml: ') as error:
        zoo.list_models()
    assert message in str(error.value)


def test_hashes_and_names(tmp_path):

    def file(**fields):
        row = {'Name': 'n', 'Config': 'c', 'In Collection': 'I', **FROM}
        return read_row({**row, 'Converted From': fields}, tmp_path).original

    assert file(URL='https://a/b%20c.pth').name == 'b c.pth'
    assert file(URL='https://a/b-0123abcd.pth').sha256 == '0123abcd'
    assert file(URL='https://a/b-2021.pth').sha256 == ''
    assert file(URL='https://a/b?x', File='mine.pth').name == 'mine.pth'
    assert file(URL='https://a/b', SHA256=UNKNOWN).sha256 == ''
    assert file(URL='https://a/b', SHA256=HASH).sha256 == HASH
    assert file(File='mine.pth').path is None


def test_two_rows_of_one_name(make_catalogue):
    make_catalogue()
    path = catalogue.find_root() / 'metafile.yml'
    rows = yaml.safe_load(path.read_text())['Models']
    path.write_text(yaml.safe_dump(dict(Models=rows * 2)))
    with pytest.raises(ZooError, match='small occurs twice'):
        zoo.list_models()


@pytest.mark.parametrize(
    'text', ['', '[', 'Models', '- a', '!!python/name:os.system', '\0'])
def test_wrong_files(make_catalogue, text):
    make_catalogue()
    (catalogue.find_root() / 'metafile.yml').write_text(text)
    with pytest.raises(ZooError, match="Cannot read 'Models' of .*metafile"):
        zoo.list_models()


SCRIPT = '''
import json, sys
from pathlib import Path
import mmreact, mmreact.zoo
from mmreact.packed import PackedModel
from mmreact.zoo import catalogue
before = [m for m in ('requests', 'rich', 'filelock') if m in sys.modules]
names = mmreact.zoo.list_models()
catalogue.find_root = lambda: Path(sys.argv[1])
model = PackedModel.from_zoo('small')
print(json.dumps(dict(
    names=names, program=len(model.program.operations), before=before,
    heavy=[m for m in ('torch', 'torchvision', 'mmengine', 'mmcv',
                       'mmpretrain') if m in sys.modules])))
'''


def test_without_torch(make_catalogue, packed_bytes, published, tmp_path):
    """Catalogue, download and PackedModel; libraries only when needed."""
    (tmp_path / 'small.safetensors').write_bytes(packed_bytes)
    url = (tmp_path / 'small.safetensors').as_uri()
    make_catalogue(Packed=published(packed_bytes, URL=url), **FROM)
    result = subprocess.run(
        [sys.executable, '-c', SCRIPT,
         str(catalogue.find_root())],
        capture_output=True,
        text=True,
        check=True)
    report = json.loads(result.stdout)
    assert report['heavy'] == report['before'] == []
    assert 'reactnet-a_8xb32_in1k' in report['names']
    assert report['program'] == len(build_packed().program.operations)
    assert (tmp_path / 'cache/small.safetensors').read_bytes() == packed_bytes


def test_the_documentation_runs():
    """docs/model_zoo.md: its code, and the fields of its example."""
    page = (ROOT / 'docs/model_zoo.md').read_text()
    code, = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    found = {}
    exec(code, found)
    assert found['row'].name == 'reactnet-a_8xb32_in1k'
    example, = re.findall(r'```yaml\n(.*?)```', page, re.DOTALL)
    row, = yaml.safe_load(example)
    assert read_row(row, ROOT).origin == 'trained here'
