"""tools/zoo.py, which is python -m mmreact.zoo."""
import json
import subprocess
import sys

import pytest

from mmreact.zoo import __main__ as command
from mmreact.zoo import list_models
from mmreact.zoo.__main__ import main

NAME = 'reactnet-a_8xb32_in1k'


def test_list(capsys):
    assert main(['list', 'reactnet-a_']) is None
    head, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_models('reactnet-a_')
    titles = ('Top-1 published', 'Top-1 here', 'Weights')
    published, here, end = (head.index(title) for title in titles)
    line, = (line for line in lines if line.startswith(NAME))
    assert line[published:here].split()[0] == '69.40'
    assert line[here:end].split() == ['–']
    assert line[end:].strip() == "the authors' file, to convert"


def test_list_as_json(capsys):
    main(['list', '--weights', '--json'])
    rows = json.loads(capsys.readouterr().out)
    assert {row['origin'] for row in rows} >= {'published by MMPretrain'}
    assert all(row['weights'] or row['packed'] for row in rows)


def test_info(capsys):
    main(['info', NAME])
    text = capsys.readouterr().out
    for part in (NAME, '87,126,016', 'Top 1 Accuracy 69.4',
                 'published in the paper', 'sharepoint.com', 'no hash is kno'):
        assert part in text
    main(['info', NAME, '--json'])
    row = json.loads(capsys.readouterr().out)
    assert row['original']['url'].startswith('https://hkustconnect')


@pytest.mark.parametrize(
    'command',
    [['info', 'reactnet-x'], ['download', 'reactnet-x'], ['download', NAME],
     ['download', NAME, '--packed'], ['list', '--wieghts'], []])
def test_errors(command):
    """One line, and the exit says so."""
    tool = [sys.executable, '-m', 'mmreact.zoo', *command]
    result = subprocess.run(tool, capture_output=True, text=True)
    assert result.returncode and not result.stdout
    assert 'Traceback' not in result.stderr and 'rror: ' in result.stderr


def test_download(run_tool, tmp_path):
    """From a mirror; standard output has the path alone."""
    url = (tmp_path / 'mirror').as_uri()
    (tmp_path / 'mirror').mkdir()
    (tmp_path / 'mirror/reactnet-a-official.pth.tar').write_bytes(b'PK')
    env = dict(MMREACT_ZOO_URL=url, MMREACT_CACHE=str(tmp_path / 'cache'))
    result = run_tool('zoo.py', 'download', NAME, '--original', **env)
    path = tmp_path / 'cache' / result.stdout.rpartition('/')[2].strip()
    assert result.stdout == f'{path}\n' and path.read_bytes() == b'PK'
    assert 'compared with nothing (no hash is known)' in result.stderr
    result = run_tool('zoo.py', 'download', NAME, '--original', '--json',
                      **env)
    assert json.loads(result.stdout)['file'] == str(path)
    assert 'Downloading' not in result.stderr
    result = run_tool(
        'zoo.py', 'download', 'vgg11_8xb32_in1k', check=False, **env)
    assert result.returncode == 1
    assert result.stderr.startswith('Downloading file:///')
    assert 'Error: There is no file' in result.stderr


def test_scripts_behind_commands(tmp_path, monkeypatch, capsys):
    """They get the arguments and give the exit status."""
    monkeypatch.setattr(command, 'find_root', lambda: tmp_path)
    assert command.find_scripts() == {}
    with pytest.raises(SystemExit):
        main(['convert', 'a'])
    assert "invalid choice: 'convert'" in capsys.readouterr().err
    script = tmp_path / 'tools/model_converters/convert_official.py'
    script.parent.mkdir(parents=True)
    script.write_text('import sys\n'
                      "print(__name__, sys.argv)\nsys.exit('no')")
    monkeypatch.setattr(sys, 'argv', ['zoo.py'])
    with pytest.raises(SystemExit, match='no'):
        main(['convert', 'a', '--stage', '2'])
    given = [str(script), 'a', '--stage', '2']
    assert capsys.readouterr().out == f'__main__ {given}\n'
    with pytest.raises(SystemExit):
        main(['--help'])
    assert 'publish' not in capsys.readouterr().out
