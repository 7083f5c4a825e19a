"""What --cfg-options and --data-root make of a config."""
import argparse

import pytest
from mmengine.config import Config

from mmreact.utils.cli import add_cfg_options
from mmreact.utils.config_options import change_config

#: Text on the command line -> value.
VALUES = {
    '1': 1,
    '1e-3': 1e-3,
    'None': None,
    'true': True,
    'False': False,
    'word': 'word',
    '"1e-3"': '1e-3',
    "'None'": 'None',
    '1,2': [1, 2],
    '[1,2]': [1, 2],
    '[a,b]': ['a', 'b'],
    '(a,b)': ('a', 'b'),
    '(1,2)': (1, 2),
    '[(16, 2), (32, 1)]': [(16, 2), (32, 1)],
    '[[1,2],(a,3)]': [[1, 2], ('a', 3)],
    '[]': [],
    '"a,b"': 'a,b',
    '/my data/x': '/my data/x',
    'a=b': 'a=b',
    '': '',
    "{'type': 'X', 'p': 0.5}": dict(type='X', p=0.5),
    "[{'type': 'X'}, {'type': 'Y'}]": [dict(type='X'),
                                       dict(type='Y')],
    '[open("x")]': ['open("x")'],  # nothing is run
}


def parse(*options):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    return parser.parse_args(['--cfg-options', *options]).cfg_options


@pytest.mark.parametrize('text', VALUES)
def test_values(text):
    value, expected = parse(f'a.b={text}')['a.b'], VALUES[text]
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize('text', ['word', '=1', 'a=[1,2', 'a=((1)'])
def test_what_is_no_option(text, capsys):
    with pytest.raises(SystemExit) as error:
        parse(text)
    assert error.value.code == 2 and text in capsys.readouterr().err


def make_config():
    pipeline = [dict(type='Crop', scale=3), dict(type='Pack')]
    return Config(
        dict(
            pipeline=pipeline,
            size=3,
            mine=dict(a=1),
            model=dict(head=dict(num_classes=10), arch=[(16, 2)]),
            train_dataloader=dict(dataset=dict(pipeline=pipeline)),
            train_cfg=dict(max_epochs=3)))


@pytest.mark.parametrize('key, value, place', [
    ('model.head.num_classes', 7, lambda c: c.model.head.num_classes),
    ('train_dataloader.dataset.pipeline.0.scale', 5,
     lambda c: c.train_dataloader.dataset.pipeline[0].scale),
    ('train_dataloader.dataset.pipeline.1', dict(type='Other'),
     lambda c: c.train_dataloader.dataset.pipeline[1]),
    ('model.arch', [(8, 1)], lambda c: c.model.arch),
    ('compile', True, lambda c: c.compile),
    ('optim_wrapper.optimizer.lr', .1, lambda c: c.optim_wrapper.optimizer.lr),
    ('mine.a', 2, lambda c: c.mine.a),
])
def test_options(key, value, place):
    cfg = make_config()
    change_config(cfg, {key: value})
    assert place(cfg) == value


@pytest.mark.parametrize('key, message', [
    ('pipeline.0.scale', 'Name train_dataloader.dataset.pipeline.0.scale'),
    ('pipeline', 'Name train_dataloader.dataset.pipeline instead'),
    ('trian_cfg.max_epochs', 'no key trian_cfg.*mean train_cfg'),
    ('train_pipeline.1.scale', 'no key train_pipeline'),
    ('train_dataloader.dataset.pipeline.5.scale', 'pipeline.5.scale.*Index 5'),
    ('train_cfg.max_epochs.x', 'train_cfg.max_epochs.x cannot be merged'),
])
def test_options_that_would_do_nothing(key, message):
    with pytest.raises(ValueError, match=message):
        change_config(make_config(), {key: {'a': 1} if key[-1] == 'x' else 1})


@pytest.mark.parametrize('wrap', [
    lambda d: d,
    lambda d: dict(type='RepeatDataset', times=2, dataset=d),
    lambda d: dict(type='ConcatDataset', datasets=[d, dict(d)]),
    lambda d: dict(
        type='KFoldDataset',
        dataset=dict(type='RepeatDataset', times=2, dataset=d)),
])
def test_data_root(wrap):
    """That of the data sets within wrappers, which have none themselves."""
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=wrap(dict(data_root='a'))),
            val_dataloader=None))
    change_config(cfg, data_root='b')
    text = str(cfg.to_dict())
    assert "'data_root': 'b'" in text and "'a'" not in text
    if 'RepeatDataset' in text:
        assert 'data_root' not in cfg.train_dataloader.dataset
