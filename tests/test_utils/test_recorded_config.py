"""The config in a checkpoint: read, never run."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmreact.engine.inference import checkpoint_predict
from mmreact.utils.checkpoint import CheckpointError
from mmreact.utils.recorded_config import recorded_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PIPELINE = "\ntest_dataloader = dict(dataset=dict(type='A', pipeline=[]))\n"
MODEL = "model = dict(type='ImageClassifier', backbone={})"


def read(text, **meta):
    return recorded_config(dict(meta=dict(cfg=text, **meta)), 'net.pth')


@pytest.mark.parametrize('path', [
    'reactnet/reactnet-a_8xb32_in1k.py',
    'reactnet/reactnet-small_1xb128_fashion-mnist.py',
    'vgg/vgg11_8xb32_in1k.py',
    'binarized/binarized-resnet18-w16_1xb128_fashion-mnist.py',
    'real2binary/real2binary-resnet18_8xb32_in1k.py',
    'bnext/bnext-tiny_8xb64_in1k.py',
])
def test_as_mmengine_records_it(path):
    """The text that MMEngine writes gives the config again."""
    cfg = Config.fromfile(CONFIGS / path)
    found = read(cfg.pretty_text)
    model = cfg.model.to_dict()
    model.pop('teacher', None)
    assert found.model.to_dict() == model
    assert found.data_preprocessor == cfg.data_preprocessor
    dataset = cfg.test_dataloader.dataset
    assert found.test_dataloader.dataset.pipeline == dataset.pipeline
    assert sorted(found.test_dataloader.dataset) == ['pipeline', 'type']


def test_all_kinds_of_values():
    text = MODEL.format('dict(a=-1.5e-3, b=(1, ), c=[None, True, "x"], '
                        "d=dict({'e.f': {1: 2}}, g={}))")
    assert read(text + PIPELINE).model.backbone.to_dict() == dict(
        a=-1.5e-3, b=(1, ), c=[None, True, 'x'], d={
            'e.f': {
                1: 2
            },
            'g': {}
        })


@pytest.mark.parametrize('text,words', [
    (None, 'does not say which network'),
    ('model = (', 'never closed'),
    ('a = ' + '[' * 5000, 'cannot be used'),
    ('import os', 'line 1 is no assignment'),
    ('a = b = 1', 'no assignment'),
    ('\na.b = 1', 'line 2 is no assignment'),
    ("a = __import__('os').mkdir('hacked')", 'more than plain values'),
    ("a = [dict(b=open('hacked', 'w'))]", "open('hacked', 'w')"),
    ('a = dict(**dict())', 'more than plain values'),
    ('a = {**{}}', 'more than plain values'),
    ('a = lambda: 0', 'lambda'),
    ('a = b', 'more than plain values'),
    ('a = {[1]: 2}', 'the key [1] of a dict is no text or number'),
    ('a = {{}: 2}', 'the key {} of a dict'),
    ('a = {(1, 2): 2}', 'the key (1, 2) of a dict'),
    ('a = {(1, []): 2}', 'the key (1, []) of a dict'),
    ('a = dict(b={dict(): 1})', 'the key {} of a dict'),
    ('a = [{1: {{2}: 3}}]', 'the key {2} of a dict'),
    ('a = {[]}', 'unhashable'),
    ('a = {{}, 1}', 'unhashable'),
    ('a = dict([1])', 'makes a dict of something else: dict([1])'),
    ('a = dict([([], 1)])', 'makes a dict of something else'),
    ('a = dict(3)', 'makes a dict of something else'),
    ('a = dict("ab")', 'makes a dict of something else'),
    ('a = ' + 'dict(a=' * 3000 + '1' + ')' * 3000, 'cannot be used'),
    ('a = ' + '-' * 5000 + '1', 'cannot be used'),
    ('a = ' + '(' * 150 + '1, ' + ')' * 150, 'its model is none of'),
    ('a = ' + '9' * 10000, 'cannot be used'),
    ('a = 9 ** 9 ** 9', 'more than plain values'),
    ('a = "x" * 10**10', 'more than plain values'),
    ('a = [0] * 10**10', 'more than plain values'),
    ('#' * 1_000_001, 'at most 1,000,000 are read'),
    ('a = "\0"\0', 'cannot be used'),
    ("model = {'type': []}" + PIPELINE, 'its model is none of'),
    (MODEL.format("dict(type=['os.mkdir'])") + PIPELINE, "type ['os.mkdir']"),
    (MODEL.format("dict(_scope_=['mmreact'])") + PIPELINE, 'its scope'),
    (PIPELINE, 'its model is none of'),
    ("model = dict(type='HuggingFaceClassifier')" + PIPELINE, 'none of'),
    ("model = dict(type='os.system', command='')" + PIPELINE, 'none of'),
    (MODEL.format("dict(type='os.mkdir', path='hacked')") + PIPELINE,
     "type 'os.mkdir' is no registered name"),
    (MODEL.format("[dict(a=({'type': 'os.mkdir'}, ))]") + PIPELINE,
     'no registered name'),
    (MODEL.format('dict(type=3)') + PIPELINE, 'type 3'),
    (MODEL.format("dict(_scope_='evil')") + PIPELINE, "scope 'evil'"),
    (MODEL.format('dict(trust_remote_code=True)') + PIPELINE, 'from a hub'),
    (MODEL.format('1') + PIPELINE.replace("'A'", "'os.mkdir'"), 'os.mkdir'),
    (MODEL.format('1'), 'no test pipeline'),
    (MODEL.format('1') + '\ntest_dataloader = 1', 'no test pipeline'),
])
def test_nothing_else_is_read(text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as error:
        read(text)
    assert words in str(error.value) and 'net.pth' in str(error.value)
    assert '--config FILE' in str(error.value)
    assert not list(tmp_path.iterdir())


def test_checkpoints_without_meta():
    for checkpoint in ({}, dict(meta=None), dict(meta=[1])):
        with pytest.raises(CheckpointError, match='does not say which'):
            recorded_config(checkpoint, 'net.pth')


@pytest.mark.parametrize('change', [
    ("test_dataloader = dict(dataset=dict(type='FashionMNIST', pipeline=3))"),
    ("test_dataloader = dict(dataset=dict(type='FashionMNIST', "
     'pipeline=[3]))'),
    ("test_dataloader = dict(dataset=dict(type='NoSuchSet', pipeline=[]))"),
    'data_preprocessor = 3',
    "data_preprocessor = dict(mean='x', std='y')",
    "model = dict(type='ImageClassifier', backbone=3)",
    "model = dict(type='ImageClassifier', backbone=dict(type='NoSuchNet'))",
    "model = dict(type='ImageClassifier', backbone=dict(type='VGG', y=1))",
    "model = dict(type='ImageClassifier', head=[])",
])
def test_wrong_values_are_named(tmp_path, change):
    """Whatever is built from them fails in words."""
    cfg = Config.fromfile(SMALL)
    text = f'{cfg.pretty_text}\n{change}\n'
    path = tmp_path / 'net.pth'
    torch.save(dict(meta=dict(cfg=text), state_dict=dict(a=WEIGHT)), path)
    with pytest.raises((CheckpointError, ValueError)) as error:
        checkpoint_predict(path, 5)
    assert '\n' not in str(error.value) or 'does not fit' in str(error.value)


SMALL = CONFIGS / 'reactnet/reactnet-small_1xb128_fashion-mnist.py'
WEIGHT = torch.ones(1)
