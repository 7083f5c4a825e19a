"""The shell scripts: two processes over gloo, and Slurm's command line."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
RUNS = dict(teacher='teacher', stage1='stage1', stage2='.')


def test_all_runs_are_trained_once(dist_trained):
    """Each in its folder, announced by one process only."""
    work_dir, out = dist_trained
    lines = [line for line in out.splitlines() if line[:1] == '[']
    assert [line.split(' (')[0] for line in lines] == [
        '[1/3] teacher: training', '[2/3] stage1: training',
        '[3/3] stage2: training'
    ]
    for name, folder in RUNS.items():
        assert (work_dir / folder / 'epoch_2.pth').is_file()
        logs = list((work_dir / folder).glob('2*/2*.log'))
        assert len(logs) == 1
        # 256 images in batches of 32, by two processes: 4 iterations.
        text = logs[0].read_text()
        assert 'Epoch(train) [2][4/4]' in text
        assert 'Epoch(train) [2][5/' not in text
        assert text.count('Operations at input (1, 32, 32)') == 1


@pytest.mark.slow
def test_what_is_validated_is_what_is_saved(tiny_configs, run_tool, scripts,
                                            tmp_path):
    """BN statistics are averaged, so that one process tests the same."""
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = {str(tiny_configs / 'teacher.py')!r}
custom_hooks = [dict(type='StrictLoadHook'), dict(type='SyncBuffersHook')]
""")
    work_dir = tmp_path / 'work'
    scripts.run('dist_train.sh', config, 2, '--work-dir', work_dir)
    scalars, = work_dir.glob('*/vis_data/scalars.json')
    logged = json.loads(scalars.read_text().splitlines()[-1])
    result = run_tool('test.py', config, work_dir / 'epoch_2.pth', '--json',
                      '--work-dir', tmp_path)
    tested = json.loads(result.stdout)
    for key in ('accuracy/top1', 'accuracy/top5'):
        assert logged[key] == pytest.approx(tested[key], abs=1e-3)


def test_one_record_each(dist_trained):
    work_dir, _ = dist_trained
    records = sorted(work_dir.rglob('*fingerprint.json'))
    assert records == sorted(work_dir / folder / 'fingerprint.json'
                             for folder in RUNS.values())
    for record in records:
        content = json.loads(record.read_text())
        assert content['fingerprint']['num_processes'] == 2
        assert content['seed'] == 3


@pytest.mark.slow
def test_complete_runs_are_not_repeated(tiny_configs, dist_trained, run_tool,
                                        scripts):
    """By as many processes or others."""
    work_dir, _ = dist_trained
    args = tiny_configs / 'stage2.py', '--work-dir', work_dir
    before = (work_dir / 'epoch_2.pth').stat().st_mtime_ns
    for out in (run_tool('train.py', *args).stdout,
                scripts.run('dist_train.sh', args[0], 2, *args[1:])[0]):
        assert [n for n in RUNS if f'] {n}: complete' in out] == [*RUNS]
    assert (work_dir / 'epoch_2.pth').stat().st_mtime_ns == before


def test_accuracy_of_two_processes(tiny_configs, dist_trained, run_tool,
                                   scripts, tmp_path):
    """99 images are padded to 50 and 50; the one that repeats is dropped."""
    work_dir, _ = dist_trained
    config, checkpoint = tiny_configs / 'stage2.py', work_dir / 'epoch_2.pth'
    args = ('--json', '--work-dir', tmp_path, '--cfg-options',
            'test_dataloader.dataset.indices=99')
    one = run_tool('test.py', config, checkpoint, *args)
    two, _ = scripts.run('dist_test.sh', config, checkpoint, 2, *args)
    one, two = json.loads(one.stdout), json.loads(two)
    assert one == two
    hits = one['accuracy/top1'] * 99 / 100  # a whole number of 99
    assert hits == pytest.approx(round(hits), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_missing_data_stop_all(script, tiny_configs, dist_trained, scripts,
                               tmp_path):
    """An error that one process finds must not leave the other waiting."""
    work_dir, _ = dist_trained
    args = [tiny_configs / 'stage2.py']
    if 'test' in script:
        args.append(work_dir / 'epoch_2.pth')
    process = scripts.start(script, *args, 2, '--work-dir', tmp_path,
                            '--data-root', tmp_path / 'nowhere')
    _, err = scripts.finish(process, check=False)
    assert process.returncode != 0
    assert f'The data root {tmp_path}/nowhere of FashionMNIST does not ' \
        'exist' in err
    assert not list(tmp_path.rglob('*.pth'))


FAKE_SRUN = '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n'
SLURM = {
    'slurm_train.sh':
    (['part', 'job', 'c.py',
      'work dir'], ['train.py', 'c.py', '--work-dir', 'work dir']),
    'slurm_test.sh': (['part', 'job', 'c.py',
                       'a.pth'], ['test.py', 'c.py', 'a.pth'])
}


@pytest.mark.parametrize('script', SLURM)
@pytest.mark.parametrize('env,gpus,per_node,cpus', [
    ({}, 8, 8, 5),
    (dict(GPUS='16', GPUS_PER_NODE='4', CPUS_PER_TASK='2'), 16, 4, 2),
])
def test_slurm(tmp_path, scripts, script, env, gpus, per_node, cpus):
    """A stand-in for srun prints its arguments, one a line."""
    srun = tmp_path / 'srun'
    srun.write_text(FAKE_SRUN)
    srun.chmod(0o755)
    args, (tool, *rest) = SLURM[script]
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    extra = ['--cfg-options', 'a=1', "b='x y'"]
    out, _ = scripts.run(
        script,
        *args,
        *extra,
        PATH=path,
        SRUN_ARGS='--qos high --time=5',
        **env)
    assert out.splitlines() == [
        '-p', 'part', '--job-name=job', f'--gres=gpu:{per_node}',
        f'--ntasks={gpus}', f'--ntasks-per-node={per_node}',
        f'--cpus-per-task={cpus}', '--kill-on-bad-exit=1', '--qos', 'high',
        '--time=5', sys.executable, '-u',
        str(TOOLS / tool), *rest, '--launcher', 'slurm', *extra
    ]


@pytest.mark.parametrize('script,enough', [('dist_train.sh', 2),
                                           ('dist_test.sh', 3),
                                           ('slurm_train.sh', 4),
                                           ('slurm_test.sh', 4)])
def test_usage(tmp_path, script, enough):
    """With too few arguments nothing is started."""
    for name in ('srun', 'python'):
        (tmp_path / name).write_text('#!/bin/sh\necho started\n')
        (tmp_path / name).chmod(0o755)
    env = dict(
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        PYTHON=str(tmp_path / 'python'))
    for number in range(enough + 1):
        result = subprocess.run([str(TOOLS / script), *'1234'[:number]],
                                env={
                                    **os.environ,
                                    **env
                                },
                                text=True,
                                capture_output=True)
        if number == enough:
            assert (result.returncode, result.stdout) == (0, 'started\n')
            continue
        assert (result.returncode, result.stdout) == (2, '')
        kind = script.split('_')[1].removesuffix('.sh')
        assert f'tools/{script} ' in result.stderr
        assert 'CONFIG' in result.stderr
        assert f'tools/{kind}.py' in result.stderr
        assert 'set -' not in result.stderr


def test_scripts_are_executable():
    assert shutil.which('dist_train.sh', path=TOOLS)
    scripts = list(TOOLS.glob('*.sh'))
    assert len(scripts) == 4
    assert all(os.access(script, os.X_OK) for script in scripts)
