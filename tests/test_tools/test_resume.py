"""A run that is killed and resumed ends like one that was not."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from mmreact import compat  # noqa: F401, lets torch read the checkpoints

ROOT = Path(__file__).resolve().parents[2]


def train(config, work_dir, *args):
    command = [
        sys.executable,
        str(ROOT / 'tools' / 'train.py'),
        str(config), '--work-dir',
        str(work_dir), *args
    ]
    return subprocess.Popen(
        command,
        env={
            **os.environ, 'OMP_NUM_THREADS': '1'
        },
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)


def finish(process):
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out[-5000:]
    return out


def kill_after(process, path, log_line):
    """SIGKILL a training once it is past a checkpoint, within an epoch."""
    lines = []
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        lines.append(line)
        if path.exists() and log_line in line:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()  # workers hold it for some seconds
            return
        assert line or process.poll() is None, ''.join(lines)
    raise AssertionError(f'{path} did not appear')


def assert_same_checkpoint(a, b):
    a, b = (torch.load(path, weights_only=True) for path in (a, b))
    for key in ('state_dict', 'ema_state_dict'):
        assert a[key].keys() == b[key].keys()
        for name in a[key]:
            assert torch.equal(a[key][name], b[key][name]), (key, name)
    moments = [c['optimizer']['state'] for c in (a, b)]
    for index, state in moments[0].items():
        assert torch.equal(state['exp_avg'], moments[1][index]['exp_avg'])


def test_killed_and_resumed_equals_undisturbed(tiny_configs, trained,
                                               tmp_path):
    """SIGKILL within epoch 2 of stage 1, then within epoch 2 of stage 2."""
    config = tiny_configs / 'stage2.py'
    kill_after(
        train(config, tmp_path), tmp_path / 'stage1' / 'epoch_1.pth',
        'Epoch(train) [2][3/8]')
    assert not (tmp_path / 'stage1' / 'epoch_2.pth').exists()
    kill_after(
        train(config, tmp_path, '--resume'), tmp_path / 'epoch_1.pth',
        'Epoch(train) [2][3/8]')
    assert (tmp_path / 'stage1' / 'epoch_2.pth').exists()
    out = finish(train(config, tmp_path, '--resume'))
    assert '[1/3] teacher: complete' in out
    assert '[2/3] stage1: complete' in out
    assert '[3/3] stage2: resuming from epoch_1.pth' in out
    for name in ('teacher/epoch_2.pth', 'stage1/epoch_2.pth', 'epoch_2.pth'):
        assert_same_checkpoint(trained / name, tmp_path / name)


def test_same_seed_gives_the_same_losses(tiny_configs, trained, tmp_path):
    """With other numbers of workers, too."""
    finish(
        train(tiny_configs / 'stage2.py', tmp_path, '--cfg-options',
              'train_dataloader.num_workers=1'))
    for name in ('stage1/epoch_2.pth', 'epoch_2.pth'):
        assert_same_checkpoint(trained / name, tmp_path / name)


def test_finished_and_unfinished_work_directories(tiny_configs, trained,
                                                  tmp_path):
    """Nothing is trained again, nothing is overwritten."""
    config = tiny_configs / 'stage2.py'
    before = (trained / 'epoch_2.pth').stat()
    out = finish(train(config, trained))
    assert '[3/3] stage2: complete' in out
    assert (trained / 'epoch_2.pth').stat().st_mtime == before.st_mtime

    process = train(config, trained, '--cfg-options',
                    'stage1:optim_wrapper.optimizer.lr=0.5')
    out, _ = process.communicate()
    assert process.returncode != 0
    assert 'optim_wrapper.optimizer.lr: 0.005 -> 0.5' in out

    # What a complete run was made from is not needed any more.
    (trained / 'stage1').rename(tmp_path / 'stage1')
    try:
        out = finish(train(config, trained))
        assert 'training' not in out
    finally:
        (tmp_path / 'stage1').rename(trained / 'stage1')

    # A checkpoint replaced stage 1: without it this is another training.
    process = train(config, trained, '--from',
                    str(trained / 'stage1' / 'epoch_2.pth'), '--resume')
    out, _ = process.communicate()
    assert process.returncode != 0
    assert 'start_from (checkpoint): (absent) -> ' in out

    (tmp_path / 'teacher').mkdir()
    checkpoint = tmp_path / 'teacher' / 'epoch_1.pth'
    checkpoint.write_bytes(b'')
    process = train(config, tmp_path)
    out, _ = process.communicate()
    assert process.returncode != 0
    assert 'unfinished training' in out and '--resume' in out
    assert checkpoint.exists()
