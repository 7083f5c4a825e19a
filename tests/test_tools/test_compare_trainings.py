import json

import pytest


@pytest.mark.parametrize('args, message', [
    ([], 'name at least one config'),
    (['{config}', '--jobs', '0'], '--jobs is 0'),
    (['{config}', '--out', 'a.pdf'], 'a.pdf does not end in one of .txt'),
    (['{config}', '--', '--seed=3'], 'give --seed before the "--"'),
    (['nothing.py'], 'no config nothing.py'),
    (['{config}', '--baseline', 'x'], "'x' is not one of the methods teacher"),
    (['{config}', '--task', '3'], '--task is 3; there are the trainings 0 to'),
    (['--table-only'], 'remembers no trainings'),
])
def test_wrong_arguments(run_tool, tiny_configs, tmp_path, args, message):
    args = [arg.format(config=tiny_configs / 'teacher.py') for arg in args]
    result = run_tool(
        'compare_trainings.py', '--work-dir', tmp_path, *args, check=False)
    assert result.returncode == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_methods_and_two_seeds(run_tool, tiny_configs, tmp_path):
    work = tmp_path / 'work'
    args = [
        'compare_trainings.py', tiny_configs / 'teacher.py', '--work-dir',
        work, '--seeds', 0, 1, '--vary', 'optim_wrapper.optimizer.lr=0.003,0.'
    ]
    listed = run_tool(*args, '--list').stdout.splitlines()
    assert listed[:2] == ['0  lr=0.003  seed 0', '1  lr=0.  seed 0']

    one = run_tool(*args, '--task', 2, '--', '--deterministic')
    assert 'lr=0.003 seed 1: complete' in one.stderr
    table = tmp_path / 'table.json'
    done = run_tool(*args, '--jobs', 2, '--out', table, tmp_path / 'plot.svg',
                    '--', '--deterministic')
    assert 'lr=0.003 seed 1: skipped' in done.stderr
    learned, constant = json.loads(table.read_text())
    assert (learned['n'], constant['n'], constant['pairs']) == (2, 2, 2)
    assert constant['mean'] == pytest.approx(learned['mean'] +
                                             constant['difference'])
    assert learned['seconds'] > 0
    log = next((work / 'lr=0.003' / 'seed_1').glob('*/vis_data/scalars.json'))
    last = json.loads(log.read_text().splitlines()[-1])
    assert learned['values']['1'] == last['accuracy/top1']
    assert '<svg' in (tmp_path / 'plot.svg').read_text()

    again = run_tool('compare_trainings.py', '--work-dir', work,
                     '--table-only')
    assert again.stdout == done.stdout
