"""What is said while training goes on, and at its end."""
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmreact.engine import ProgressHook
from mmreact.engine.hooks import progress_hook
from mmreact.engine.progress import (FILE, duration, later, memory,
                                     read_progress, summary, write_progress)


@pytest.mark.parametrize('seconds,text', [(0, '0:00:00'), (59.6, '0:01:00'),
                                          (3600 * 25, '1 day, 1:00:00')])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_memory(monkeypatch):
    """That of this process, which has imported torch."""
    size, unit, word = memory().split()
    assert 0.1 < float(size) < 100 and (unit, word) == ('GiB', 'resident')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda: 3 << 29)
    assert memory() == '1.50 GiB on the GPU'


@pytest.mark.parametrize('text', ['', '{', '[]', None])
def test_unreadable_progress_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / FILE).write_text(text)
    assert read_progress(tmp_path) == {}
    write_progress(tmp_path, dict(epoch=3))
    assert read_progress(tmp_path) == dict(epoch=3)


class Clock:
    """Goes on when it is told to."""

    def __init__(self):
        self.now = 1000.

    def monotonic(self):
        return self.now


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Drive a hook by hand: 10 iterations of 2 s, validation of 5 s."""
    clock = Clock()
    monkeypatch.setattr(progress_hook, 'time', clock)
    monkeypatch.setattr(progress_hook, 'memory', lambda: '1.00 GiB resident')
    lines = []
    loader = type('Loader', (), dict(
        __len__=lambda self: 10, dataset=range(320)))()  # yapf: disable

    def run(epochs=(1, 2), start=0, **kwargs):
        hook = ProgressHook(**kwargs)
        runner = SimpleNamespace(
            model=torch.nn.Identity(), work_dir=tmp_path, log_dir=tmp_path,
            timestamp='now', iter=start, epoch=start // 10, max_epochs=4,
            max_iters=40, train_dataloader=loader,
            logger=SimpleNamespace(info=lines.append))  # yapf: disable
        hook.before_train(runner)
        for epoch in epochs:
            hook.before_train_epoch(runner)
            for i in range(10):
                clock.now += 30 if i == 0 else 2  # workers start
                hook.after_train_iter(runner, i)
                runner.iter += 1
            hook.after_train_epoch(runner)
            runner.epoch += 1
            hook.before_val_epoch(runner)
            clock.now += 5
            hook.after_val_epoch(runner, {'accuracy/top1': 50. - epoch})
        return lines

    return run


def test_lines(told):
    """ETA: 30 iterations and, once its time is known, 3 validations."""
    speed = '16 images/s, 1.00 GiB resident'
    assert told() == [
        f'[1/1] epoch 1/4, {speed}, this run ends in 0:01:00',
        f'[1/1] epoch 2/4, {speed}, this run ends in 0:00:55',
    ]


def test_lines_of_several_runs(told):
    """8 epochs of 10 iterations to come, with their validations."""
    lines = told(number=2, total=4, later_epochs=8, later_unknown=1, first=4)
    ends = [
        re.search('ends in (.*), all runs in (.*)$', line).groups()
        for line in lines
    ]
    without = ' (without 1 on other data)'
    assert ends == [('0:01:10', '0:03:50' + without),
                    ('0:01:00', '0:03:40' + without),
                    ('0:00:55', '0:04:15' + without)]
    assert all(line.startswith('[2/4] epoch ') for line in lines)


def test_progress_file(told, tmp_path):
    """Goes on after a resume, and starts anew with a new training."""
    told()
    found = read_progress(tmp_path)
    assert found['seconds'] == 2 * (30 + 18 + 5)
    assert (found['best'], found['best_epoch'], found['last']) == (49, 1, 48)
    assert found['epoch'] == 2 and not found['one_bit']
    told(epochs=(3, ), start=20)
    found = read_progress(tmp_path)
    assert found['seconds'] == 3 * 53
    assert (found['best'], found['last']) == (49, 47)
    told(epochs=(9, ))
    found = read_progress(tmp_path)
    assert (found['seconds'], found['best']) == (53, 41)


def test_later_runs():
    """Epochs on the same data; a pipeline makes no other data of them."""

    def run(root='a', pipeline='x', **train_cfg):
        dataset = dict(data_root=root, pipeline=[pipeline])
        return SimpleNamespace(
            cfg=Config(
                dict(
                    train_dataloader=dict(dataset=dataset),
                    train_cfg=train_cfg or dict(max_epochs=3))))

    assert later([run()]) == dict(later_epochs=0, later_unknown=0)
    runs = [run(), run(pipeline='y'), run('b'), run(max_iters=9), run()]
    assert later(runs) == dict(later_epochs=6, later_unknown=2)


def test_training_says_it(small_train, tmp_path, capsys):
    options = {'train_cfg.max_epochs': 1, 'param_scheduler.end': 1}
    small_train(tmp_path, **options)
    out = capsys.readouterr().out
    log = (next(tmp_path.glob('one/2*/*.log'))).read_text()
    assert re.search(
        r'\[1/2\] epoch 1/1, [\d,]+ images/s, [\d.]+ GiB resident, this run '
        r'ends in 0:00:\d\d, all runs in 0:\d\d:\d\d$', log, re.M)
    log, = tmp_path.glob('2*/*.log')
    assert '[2/2] epoch 1/1' in log.read_text()
    found = out[out.index('Summary'):]
    accuracy = read_progress(tmp_path)['last']
    for text in (
            f'two  {accuracy:.2f} (1)', f' {tmp_path}/one/epoch_1.pth\n',
            f'  two: {log}\n',
            f'  python tools/test.py {tmp_path}/two.py {tmp_path}/epoch_1.pth',
            f'pack.py {tmp_path}/two.py {tmp_path}/epoch_1.pth -o '
            f'{tmp_path}/two.safetensors'):
        assert text in found
    assert (tmp_path / 'two.py').is_file()
    # Once more: nothing to do, and the same is said.
    small_train(tmp_path, **options)
    again = capsys.readouterr().out
    assert again[again.index('Summary'):] == found


def test_summary_without_progress(tmp_path):
    """Of work directories that older versions have left."""
    run = SimpleNamespace(
        name='a', work_dir=tmp_path, final_checkpoint=tmp_path / 'epoch_1.pth')
    text = summary([run])
    assert re.search(r'  a +- +- +- +not needed\nNext\n', text)
    assert 'pack.py' not in text
