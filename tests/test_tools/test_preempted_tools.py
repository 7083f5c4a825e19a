"""The tools are told to stop, or killed, and go on."""
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmreact import compat  # noqa: F401, lets torch read the checkpoints

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def start(*command, **env):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    env = dict(
        os.environ, PYTHON=sys.executable, PORT=str(port),
        OMP_NUM_THREADS='1') | env
    return subprocess.Popen([*map(str, command)],
                            env=env,
                            stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT,
                            start_new_session=True,
                            preexec_fn=obey_ctrl_c,
                            text=True)


def obey_ctrl_c():
    """Background jobs of shells ignore it, and so would their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(process, text):
    """Read until a line with a text comes; return what was read."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return ''.join(lines)
    raise AssertionError(''.join(lines)[-5000:])


def finish(process, code=0):
    out, _ = process.communicate(timeout=600)
    assert process.returncode == code, out[-5000:]
    return out


def assert_same_weights(a, b):
    a, b = (torch.load(path, weights_only=True) for path in (a, b))
    for key in ('state_dict', 'ema_state_dict'):
        for name, value in a[key].items():
            assert torch.equal(value, b[key][name]), (key, name)


@pytest.mark.slow
def test_two_processes_with_workers(tiny_configs, tmp_path):
    """torchrun passes SIGTERM on; all stop in one iteration, and go on."""
    command = [
        TOOLS / 'dist_train.sh', tiny_configs / 'teacher.py', 2,
        '--cfg-options', 'train_dataloader.batch_size=8', '--work-dir'
    ]
    process = start(*command, tmp_path / 'a')
    wait_for(process, 'Epoch(train) [2][ 1/16]')
    process.send_signal(signal.SIGTERM)
    out = finish(process, 75)
    left, = (tmp_path / 'a').glob('epoch_1_iter_*.pth')
    assert f'saved {left.name}' in out
    assert (tmp_path / 'a' / 'epoch_1.pth').is_file()
    out = finish(start(*command, tmp_path / 'a', '--resume'))
    assert f'resuming from {left.name}' in out
    assert 'Epoch(train) [2][ 1/16]' not in out
    finish(start(*command, tmp_path / 'b'))
    assert_same_weights(tmp_path / 'a' / 'epoch_2.pth',
                        tmp_path / 'b' / 'epoch_2.pth')


@pytest.mark.slow
def test_ctrl_c_in_a_terminal(tiny_configs, tmp_path):
    """It reaches the whole group, also the workers that load data."""
    process = start(sys.executable, TOOLS / 'train.py',
                    tiny_configs / 'teacher.py', '--work-dir', tmp_path,
                    '--cfg-options', 'train_dataloader.batch_size=8')
    out = wait_for(process, 'Epoch(train) [1][ 1/32]')
    os.killpg(process.pid, signal.SIGINT)
    out += finish(process, 130)
    left, = tmp_path.glob('epoch_0_iter_*.pth')
    assert f'saved {left.name}' in out and 'Traceback' not in out


@pytest.mark.slow
@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_ctrl_c_while_starting(tiny_configs, tmp_path, tool):
    """Nothing but the code says that it was interrupted."""
    process = start(sys.executable, '-X', 'importtime', TOOLS / tool,
                    tiny_configs / 'teacher.py',
                    *(['x.pth'] if tool == 'test.py' else []), '--work-dir',
                    tmp_path)
    wait_for(process, 'mmreact.utils.cli')
    wait_for(process, 'mmpretrain.registry')
    os.killpg(process.pid, signal.SIGINT)
    out = finish(process, 130)
    assert 'Traceback' not in out, out


SRUN = '''#!/bin/bash
printf "%s\\n" "$@" > "$OUT/srun.txt"
trap 'echo got TERM; exit 75' TERM
if [ "$CODE" = early ]; then
    kill -TERM "$PPID"
fi
if [[ "$CODE" =~ wait|early ]]; then
    echo started
    for _ in $(seq 600); do sleep 0.1; done
fi
exit "$CODE"
'''


@pytest.mark.parametrize('code', ['0', '1', '75', '143', 'wait', 'early'])
@pytest.mark.parametrize('job', [None, '123'])
@pytest.mark.parametrize('restarts', [None, '0', '2'])
def test_slurm_requeues(tmp_path, code, job, restarts):
    """A stand-in for srun. 'wait': the script is told to stop itself;
    'early': as soon as srun has started.
    """
    scripts = dict(
        srun=SRUN, scontrol='#!/bin/sh\necho "$@" > "$OUT/scontrol.txt"')
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    env = dict(OUT=str(tmp_path), CODE=code)
    if job:
        env['SLURM_JOB_ID'] = job
    if restarts:
        env['SLURM_RESTART_COUNT'] = restarts
    process = start(
        TOOLS / 'slurm_train.sh',
        'part',
        'job',
        'c.py',
        'work',
        '--amp',
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        **env)
    if code == 'wait':
        wait_for(process, 'started')
        process.send_signal(signal.SIGTERM)
    told = code in ('wait', 'early')
    out = finish(process, 75 if told else int(code))
    assert ('got TERM' in out) == told
    args = (tmp_path / 'srun.txt').read_text().splitlines()
    assert args[-1] == ('--resume' if restarts == '2' else '--amp')
    requeued = job and code not in ('0', '1')
    asked = tmp_path / 'scontrol.txt'
    if requeued:
        assert asked.read_text() == 'requeue 123\n'
    else:
        assert not asked.exists()


WAIT = 'echo started; while :; do sleep 0.1; done'


@pytest.mark.parametrize('text, signum, code', [
    ('exit 3', None, 3),
    ('exit 0', None, 0),
    (f'trap "exit 1" TERM; {WAIT}', signal.SIGTERM, 75),
    (f'trap "exit 0" TERM; {WAIT}', signal.SIGTERM, 0),
    (f'trap "exit 1" TERM; kill -TERM $PPID; {WAIT}', None, 75),
    (f'trap "exit 1" INT; {WAIT}', signal.SIGINT, 130),
    (f'trap "exit 0" INT; {WAIT}', signal.SIGINT, 0),
])
def test_dist_train_passes_errors_on(tmp_path, text, signum, code):
    """75 and 130 are for those that were told to stop."""
    python = tmp_path / 'python'
    if signum == signal.SIGINT:  # as torchrun, which has a handler of its own
        python.write_text('#!/bin/bash\nexec python3 -c "import signal, sys;'
                          'signal.signal(2, lambda *_: sys.exit('
                          f'{int("exit 1" in text)}));'
                          'print(\'started\', flush=True);'
                          'signal.pause()"\n')
    else:
        python.write_text(f'#!/bin/bash\n{text}\n')
    python.chmod(0o755)
    process = start(TOOLS / 'dist_train.sh', 'c.py', '2', PYTHON=str(python))
    if signum is not None:
        wait_for(process, 'started')
        if signum == signal.SIGINT:  # from a terminal
            os.killpg(process.pid, signum)
        else:
            process.send_signal(signum)
    out = finish(process, code)
    assert ('The training has stopped' in out) == (code == 3)
