"""Killed again and again, a training ends like one that was left alone."""
import json
import os
import subprocess
import sys

import pytest
import torch

from mmreact import compat  # noqa: F401, lets torch read the checkpoints

#: Imports once and forks, so that an attempt costs no start of Python. The
#: disk is made slow, so that kills also come while a checkpoint is written.
DRIVER = r'''
import json, os, random, signal, sys, time, traceback
from pathlib import Path
import torch
torch.set_num_threads(1)
from mmreact.engine.stages import make_plan, train_plan

config, work, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
fsync = os.fsync

def slow_fsync(descriptor):
    time.sleep(0.1)
    fsync(descriptor)

def start(folder):
    pid = os.fork()
    if pid:
        return pid
    try:
        log = os.open(work / 'log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.fsync = slow_fsync
        train_plan(make_plan(config, folder), resume='auto')
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

def worked(pid):
    """Seconds of a child's CPU, which other work on the machine spares."""
    times = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return sum(map(int, times[11:13])) / os.sysconf('SC_CLK_TCK')

def ended(pid):
    """Exit code of a child that has ended, else None."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None

def writing(folder):
    return {p.name for p in folder.rglob('.*.pth.*')}

_, status, usage = os.wait4(start(work / 'a'), 0)
assert os.waitstatus_to_exitcode(status) == 0
duration = usage.ru_utime + usage.ru_stime
rng = random.Random(seed)
kills = []
# A number: kill while the checkpoint after so many others is written.
for what in ('time', 1, 'time', 1, 'time', 1, 1, 'time'):
    end = rng.uniform(0, duration / 6)
    pid, seen = start(work / 'b'), writing(work / 'b')
    before = set(seen)
    while ended(pid) is None:
        seen |= writing(work / 'b')
        if (worked(pid) > end
                if what == 'time' else len(seen - before) > what):
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == -9
            stage = 'two' if list((work / 'b' / 'one').glob(
                'epoch_3.pth')) else 'one'
            kills.append((stage, bool(writing(work / 'b') - before)))
            break
        time.sleep(0.002)
    else:
        raise AssertionError('it ended before it was killed')
assert os.waitstatus_to_exitcode(os.waitpid(start(work / 'b'), 0)[1]) == 0
print(json.dumps(kills))
'''


def flatten(value, prefix, out):
    if isinstance(value, dict):
        value = value.items()
    elif isinstance(value, (list, tuple)):
        value = enumerate(value)
    else:
        out[prefix] = value
        return
    for key, inner in value:
        flatten(inner, f'{prefix}.{key}', out)


@pytest.mark.slow
@pytest.mark.parametrize('seed', [0])
def test_killed_eight_times(small_configs, tmp_path, seed):
    """In both stages, and within the writing of checkpoints."""
    result = subprocess.run([
        sys.executable, '-c', DRIVER,
        str(small_configs / 'two.py'),
        str(tmp_path),
        str(seed)
    ],
                            env=dict(os.environ, OMP_NUM_THREADS='1'),
                            text=True,
                            capture_output=True,
                            timeout=900)  # where other work has priority
    assert result.returncode == 0, (
        result.stderr[-3000:] + (tmp_path / 'log').read_text()[-3000:])
    kills = json.loads(result.stdout.splitlines()[-1])
    assert len(kills) == 8
    assert {stage for stage, _ in kills} == {'one', 'two'}
    assert sum(while_writing for _, while_writing in kills) >= 3
    for name in ('one/epoch_3.pth', 'epoch_3.pth'):
        states = {}, {}
        for folder, out in zip('ab', states):
            checkpoint = torch.load(
                tmp_path / folder / name, weights_only=True)
            for key in ('state_dict', 'optimizer', 'param_schedulers',
                        'rng_states'):
                flatten(checkpoint[key], key, out)
        assert states[0].keys() == states[1].keys()
        for key, value in states[0].items():
            other = states[1][key]
            assert torch.equal(value, other) if isinstance(
                value, torch.Tensor) else value == other, key
    # Nothing is left of the files that were half written.
    assert not list((tmp_path / 'b').rglob('.*.pth.*'))
    for folder in ('b', 'b/one'):
        assert sorted(p.name for p in (tmp_path / folder).glob('*.pth')) == [
            'epoch_2.pth', 'epoch_3.pth'
        ]
