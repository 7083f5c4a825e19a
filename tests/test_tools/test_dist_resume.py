"""Processes that are killed, that are others afterwards, on two nodes."""
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from mmreact import compat  # noqa: F401, lets torch read the checkpoints

pytestmark = pytest.mark.slow
LR = 3e-3  # of tiny_configs/teacher.py


def assert_same_weights(a, b):
    a, b = (torch.load(path)['state_dict'] for path in (a, b))
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def learning_rates(work_dir):
    """Of the last training in a work directory, one an iteration."""
    log = sorted(work_dir.glob('2*/vis_data/scalars.json'))[-1]
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [row['lr'] for row in rows if 'lr' in row]


@pytest.mark.parametrize('before,now', [(2, 1), (1, 2)])
def test_another_number_of_processes(before, now, tiny_configs, trained,
                                     dist_trained, run_tool, scripts,
                                     tmp_path):
    """The second epoch of a training of which the first is kept."""
    source = {1: trained, 2: dist_trained[0]}[before] / 'teacher'
    work_dir = tmp_path / 'work'
    shutil.copytree(source, work_dir)
    (work_dir / 'epoch_2.pth').unlink()
    args = tiny_configs / 'teacher.py', '--work-dir', work_dir, '--resume'
    if now == 1:
        result = run_tool('train.py', *args)
        out, log = result.stdout, result.stdout + result.stderr
    else:
        out, err = scripts.run('dist_train.sh', args[0], now, *args[1:])
        log = out + err
    assert out.startswith(f'[1/1] teacher: resuming from epoch_1.pth, '
                          f'processes: {before} -> {now} ')
    assert f'batch size: {32 * before} -> {32 * now}' in log
    assert 'not scaled to the batch size' in log
    assert ('ranks from 1 on are dropped' if now < before else
            'Ranks from 1 on have no saved random state') in log
    # 256 images; linearly to 0, as if the batch had always been this.
    length = 256 // 32 // now
    assert learning_rates(work_dir) == pytest.approx(
        [LR * (1 - i / (2 * length - 1)) for i in range(length, 2 * length)])
    checkpoint = torch.load(work_dir / 'epoch_2.pth')
    assert checkpoint['meta']['iter'] == 2 * length
    steps = {
        s['step'].item()
        for s in checkpoint['optimizer']['state'].values()
    }
    assert steps == {8 // before + 8 // now}
    assert len(checkpoint['rng_states']) == now
    record = json.loads((work_dir / 'fingerprint.json').read_text())
    assert record['fingerprint']['num_processes'] == now
    assert record['earlier_processes'] == [before]


def process_of_rank(launcher, rank):
    """The process of a rank among the descendants of a launcher."""
    children = [
        int(child) for task in Path(f'/proc/{launcher}/task').iterdir()
        for child in (task / 'children').read_text().split()
    ]
    for child in children:
        environ = Path(f'/proc/{child}/environ').read_bytes().split(b'\0')
        if f'RANK={rank}'.encode() in environ:
            return child
        found = process_of_rank(child, rank)
        if found:
            return found
    return None


def test_a_killed_process_ends_the_job(tiny_configs, dist_trained, scripts,
                                       tmp_path):
    """The other does not wait for it; resumed, it ends as if undisturbed."""
    args = ('dist_train.sh', tiny_configs / 'teacher.py', 2, '--work-dir',
            tmp_path)
    process = scripts.start(*args)
    for line in process.stdout:
        if 'Epoch(train) [2][1/4]' in line:
            break
    killed = process_of_rank(process.pid, 1)
    os.kill(killed, signal.SIGKILL)
    _, err = scripts.finish(process, check=False)
    assert process.returncode == 1
    cause = err[err.index('Root Cause'):]
    assert f'(pid: {killed})  (SIGKILL)' in cause
    assert '--resume' in cause
    assert not (tmp_path / 'epoch_2.pth').exists()
    out, _ = scripts.run(*args, '--resume')
    assert '[1/1] teacher: resuming from epoch_1.pth (' in out
    assert_same_weights(tmp_path / 'epoch_2.pth',
                        dist_trained[0] / 'teacher' / 'epoch_2.pth')


def test_two_nodes(tiny_configs, dist_trained, scripts, tmp_path):
    """Of one process each; they do what two processes of one node do."""
    port = str(scripts.free_port())
    nodes = [
        scripts.start(
            'dist_train.sh',
            tiny_configs / 'teacher.py',
            1,
            '--work-dir',
            tmp_path,
            NNODES='2',
            NODE_RANK=str(rank),
            MASTER_ADDR='127.0.0.1',
            PORT=port) for rank in range(2)
    ]
    first, second = (scripts.finish(node)[0] for node in nodes)
    assert '[1/1] teacher: training' in first
    assert 'teacher: training' not in second
    assert_same_weights(tmp_path / 'epoch_2.pth',
                        dist_trained[0] / 'teacher' / 'epoch_2.pth')
