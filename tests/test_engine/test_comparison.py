"""The launcher with a stand-in for tools/train.py, which takes no time."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmreact.engine.comparison import (Launcher, make_samples, make_trials,
                                       read_result, record_trials,
                                       recorded_trials)
from mmreact.engine.comparison.lock import hold
from mmreact.engine.comparison.trials import parse_vary

# What it does follows from --cfg-options behave=...; it counts its calls.
TRAIN = '''
import json, os, signal, sys, time
from pathlib import Path
words = sys.argv[1:]
work = Path(words[words.index('--work-dir') + 1])
seed = int(words[words.index('--seed') + 1])
behave = [w[7:] for w in words if w.startswith('behave=')]
gpu = os.environ.get('CUDA_VISIBLE_DEVICES')
threads = os.environ.get('OMP_NUM_THREADS')
with open(work / 'calls', 'a') as f:
    f.write(json.dumps(dict(words=words, gpu=gpu, threads=threads)) + '\\n')
if behave == ['bad']:
    sys.exit('ValueError: the data are gone')
if behave == ['slow']:
    signal.signal(signal.SIGTERM, lambda *_: (
        (work / 'checkpoint').write_text('saved'), os._exit(75)))
    (work / 'ready').touch()
    while not (work / 'checkpoint').exists():
        time.sleep(0.02)
for number, value in enumerate((50., 70. + seed)):
    folder = work / f'2026010{number}' / 'vis_data'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'scalars.json').write_text(
        json.dumps({'loss': 1.}) + '\\n' +
        json.dumps({'accuracy/top1': value, 'step': number}) + '\\n{"cut')
'''


@pytest.fixture
def train(tmp_path):
    path = tmp_path / 'fake_train.py'
    path.write_text(TRAIN)
    return [sys.executable, str(path)]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'net.py'
    path.write_text('a = 1\n')
    return path


def calls(trial):
    path = trial.work_dir / 'calls'
    return [json.loads(line) for line in path.read_text().splitlines()
            ] if path.exists() else []


def run(train, trials, **kwargs):
    events = []
    Launcher(
        train,
        report=lambda trial, event: events.append(
            (trial.method, trial.seed, event)),
        **kwargs).run(trials)
    return events


@pytest.mark.parametrize('text, values', [
    ('a.b=1,2', ['a.b=1', 'a.b=2']),
    ('a=[1,2],[3]', ['a=[1,2]', 'a=[3]']),
    ('a=dict(x=1,y=2), (1,2)', ['a=dict(x=1,y=2)', 'a=(1,2)']),
    ('a="x,y",z', ['a="x,y"', 'a=z']),
])
def test_parse_vary(text, values):
    assert parse_vary(text) == values


@pytest.mark.parametrize('text', ['a', 'a=', 'a=1', '=1,2', 'a=1,,2'])
def test_parse_vary_refuses(text):
    with pytest.raises(ValueError, match='not key=value,value'):
        parse_vary(text)


def test_every_combination_is_a_method(config, tmp_path):
    trials = make_trials([config], [3, 5], tmp_path / 'work',
                         ['m.x=1,2', 'm.y=a,b'], ['z=0'])
    assert [(t.method, t.seed) for t in trials[:5]] == [('x=1 y=a', 3),
                                                        ('x=1 y=b', 3),
                                                        ('x=2 y=a', 3),
                                                        ('x=2 y=b', 3),
                                                        ('x=1 y=a', 5)]
    assert trials[1].options == ('z=0', 'm.x=1', 'm.y=b')
    folders = [trial.work_dir for trial in trials]
    assert len(set(folders)) == 8
    assert folders[0] == tmp_path / 'work' / 'x=1_y=a' / 'seed_3'


def test_configs_of_one_stem_have_names_of_their_own(tmp_path):
    for folder in 'pq':
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'net.py').touch()
    paths = [tmp_path / folder / 'net.py' for folder in 'pq']
    trials = make_trials(paths, [0], tmp_path)
    assert [t.method for t in trials] == ['p/net', 'q/net']


@pytest.mark.parametrize('configs, seeds, message', [
    (['net.py'], [1, 1], 'seed 1 is given more than once'),
    (['net.py', 'net.py'], [1], 'config .*net.py is given more than once'),
    (['other.py'], [1], 'no config .*other.py'),
])
def test_wrong_trials(config, tmp_path, configs, seeds, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make_trials([tmp_path / c for c in configs], seeds, tmp_path)


def test_results(train, config, tmp_path):
    trials = make_trials([config], [0, 1], tmp_path / 'w', ['behave=good,bad'])
    events = run(train, trials, arguments=['--amp'])
    assert [e for e in events
            if e[2] != 'started'] == [('behave=good', 0, 'complete'),
                                      ('behave=bad', 0, 'failed'),
                                      ('behave=good', 1, 'complete'),
                                      ('behave=bad', 1, 'failed')]
    words = calls(trials[0])[0]['words']
    assert words == [
        str(config), '--work-dir',
        str(trials[0].work_dir), '--seed', '0', '--resume', '--amp',
        '--cfg-options', 'behave=good'
    ]
    results = [read_result(trial, 'accuracy/top1') for trial in trials]
    good, bad = make_samples(results)
    assert good.values == {0: 70., 1: 71.} and good.problems == ()
    assert bad.values == {}
    assert bad.problems == tuple(
        f'seed {seed} failed: ValueError: the data are gone'
        for seed in (0, 1))
    best = read_result(trials[0], 'accuracy/top1', best=True)
    assert best.value == 70.
    other = read_result(trials[0], 'accuracy/top5')
    assert other.value is None and 'no accuracy/top5' in other.note


def test_complete_ones_are_skipped_unless_something_changed(
        train, config, tmp_path):
    trials = make_trials([config], [0], tmp_path / 'w')
    run(train, trials)
    assert run(train, trials) == [('net', 0, 'skipped')]
    assert len(calls(trials[0])) == 1
    run(train, trials, arguments=['--amp'])
    assert len(calls(trials[0])) == 2
    config.write_text('a = 2\n')
    run(train, trials)
    assert len(calls(trials[0])) == 3


def test_failed_ones_are_tried_again(train, config, tmp_path):
    trials = make_trials([config], [0], tmp_path / 'w', (), ['behave=bad'])
    run(train, trials)
    run(train, trials)
    assert len(calls(trials[0])) == 2


def test_jobs_share_cores_and_gpus(train, config, tmp_path, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    trials = make_trials([config], range(4), tmp_path / 'w')
    run(train, trials, jobs=2, gpus=['5', '7'])
    seen = [calls(trial)[0] for trial in trials]
    assert [call['gpu'] for call in seen[:2]] == ['5', '7']
    assert {call['gpu'] for call in seen} == {'5', '7'}
    cores = len(os.sched_getaffinity(0))
    assert {call['threads'] for call in seen} == {str(max(1, cores // 2))}


def test_one_process_a_work_directory(train, config, tmp_path):
    trials = make_trials([config], [0], tmp_path / 'w')
    trials[0].work_dir.mkdir(parents=True)
    with hold(trials[0].work_dir):
        assert run(train, trials) == [('net', 0, 'running elsewhere')]
    assert not calls(trials[0])
    assert run(train, trials)[-1] == ('net', 0, 'complete')


SCRIPT = '''
import signal, sys
from pathlib import Path
from mmreact.engine.comparison import *
trials = make_trials([Path(sys.argv[1])], [0, 1, 2], Path(sys.argv[2]), (),
                     ['behave=slow'])
try:
    Launcher(sys.argv[3:], jobs=2).run(trials)
except Interrupted as error:
    sys.exit(100 + error.number)
'''


def wait_for(*paths):
    for _ in range(12000):
        if all(path.exists() for path in paths):
            return
        time.sleep(0.05)
    raise AssertionError(f'{paths} did not appear')


@pytest.fixture
def interrupted(train, config, tmp_path):
    """Start three slow trainings, two at once; gives the process."""
    trials = make_trials([config], [0, 1, 2], tmp_path / 'w', (),
                         ['behave=slow'])
    process = subprocess.Popen([
        sys.executable, '-c', SCRIPT,
        str(config),
        str(tmp_path / 'w'), *train
    ])
    try:
        wait_for(*[trial.work_dir / 'ready' for trial in trials[:2]])
        yield process, trials
    finally:
        process.kill()
        process.wait()
        for trial in trials:  # orphans end by themselves
            if trial.work_dir.exists():
                (trial.work_dir / 'checkpoint').write_text('end')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(interrupted, train, number):
    process, trials = interrupted
    process.send_signal(number)
    assert process.wait(600) == 100 + number
    assert [read_result(t, 'accuracy/top1').status
            for t in trials] == ['interrupted', 'interrupted', 'missing']
    assert (trials[1].work_dir / 'checkpoint').read_text() == 'saved'
    # The checkpoints are there now, so the stand-in finishes at once.
    trials[2].work_dir.mkdir(parents=True)
    (trials[2].work_dir / 'checkpoint').touch()
    run(train, trials)
    values = [read_result(t, 'accuracy/top1').value for t in trials]
    assert values == [70., 71., 72.]


def test_killed_launcher(interrupted, train):
    process, trials = interrupted
    process.kill()
    process.wait()
    assert read_result(trials[0], 'accuracy/top1').status == 'running'
    assert run(train, trials[:1]) == [('net', 0, 'running elsewhere')]
    (trials[0].work_dir / 'checkpoint').write_text('end')
    for _ in range(12000):
        if read_result(trials[0], 'accuracy/top1').status != 'running':
            break
        time.sleep(0.05)
    assert read_result(trials[0], 'accuracy/top1').status == 'interrupted'
    assert run(train, trials[:1])[-1] == ('net', 0, 'complete')


def test_trials_are_remembered(config, tmp_path):
    work = tmp_path / 'w'
    work.mkdir()
    assert recorded_trials(work) == []
    first = make_trials([config], [0], work)
    record_trials(first, work)
    more = make_trials([config], [0, 1], work, (), ['x=1'])
    record_trials(more, work)
    assert recorded_trials(work) == more
    moved = Path(work).rename(tmp_path / 'elsewhere')
    assert recorded_trials(moved)[0].work_dir == moved / 'net' / 'seed_0'
    (moved / 'comparison.json').write_text('[{}]')
    with pytest.raises(ValueError, match='damaged'):
        recorded_trials(moved)
