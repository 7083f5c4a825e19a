"""The tool runs for real, on a fake cv2, opencv-python and pip."""
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/misc/ensure_cv2.py'
MISSING = 'libGL.so.1: cannot open shared object file: No such file'
PIP = """
import pathlib, sys
here = pathlib.Path(__file__).parents[1]
(here / 'pip.log').write_text(' '.join(sys.argv[1:]))
(here / 'cv2.py').write_text({cv2!r})
sys.exit({code})
"""


@pytest.fixture(scope='module')
def python(tmp_path_factory):
    """The Python of an empty virtual environment."""
    folder = tmp_path_factory.mktemp('venv')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder],
                   check=True)
    return folder / 'bin/python'


def broken(error):
    return f'raise ImportError({error!r})'


def run(python, folder, cv2, packages=('opencv-python', ), after='', code=0):
    """Run the tool where ``cv2`` is there and pip makes it ``after``."""
    for name in packages:
        info = folder / f'{name.replace("-", "_")}-9.8.7.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Name: {name}\nVersion: 9.8.7\n')
    (folder / 'cv2.py').write_text(cv2)
    (folder / 'pip').mkdir()
    (folder / 'pip/__main__.py').write_text(PIP.format(cv2=after, code=code))
    return subprocess.run([python, TOOL],
                          env=dict(
                              PYTHONPATH=str(folder),
                              PYTHONDONTWRITEBYTECODE='1'),
                          capture_output=True,
                          text=True)


def asked(folder):
    """What pip was asked, or None."""
    log = folder / 'pip.log'
    return log.read_text() if log.exists() else None


def test_silent_if_cv2_works(python, tmp_path):
    done = run(python, tmp_path, cv2='')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert asked(tmp_path) is None


@pytest.mark.parametrize('error, packages, installed', [
    (MISSING, ['opencv-python'], 'opencv-python-headless'),
    (MISSING, ['opencv-contrib-python'], 'opencv-contrib-python-headless'),
    ('half of it', ['opencv-python', 'opencv-python-headless'
                    ], 'opencv-python-headless'),
])
def test_headless_goes_over_it(python, tmp_path, error, packages, installed):
    done = run(python, tmp_path, broken(error), packages)
    assert done.returncode == 0, done.stderr
    assert asked(tmp_path) == ('--disable-pip-version-check install -q '
                               '--no-deps --force-reinstall '
                               f'{installed}==9.8.7')
    assert error in done.stdout
    assert f'works now, with {installed}==9.8.7' in done.stdout


@pytest.mark.parametrize('error, packages', [
    ('numpy is too old', ['opencv-python']),
    (MISSING, []),
])
def test_other_causes_are_left_alone(python, tmp_path, error, packages):
    done = run(python, tmp_path, broken(error), packages)
    assert done.returncode == 1
    assert error in done.stderr and 'Traceback' not in done.stderr
    assert asked(tmp_path) is None


@pytest.mark.parametrize('after, code, reason', [
    (broken('libz.so.9: gone'), 0, 'libz.so.9: gone'),
    (broken(MISSING), 1, MISSING),
    ('', 1, 'pip failed'),
])
def test_failed_repair_names_the_cure(python, tmp_path, after, code, reason):
    done = run(python, tmp_path, broken(MISSING), after=after, code=code)
    assert done.returncode == 1
    assert reason in done.stderr and 'libgl1' in done.stderr
    assert 'Traceback' not in done.stderr


def test_refuses_outside_a_virtual_environment(tmp_path):
    done = run(sys._base_executable, tmp_path, broken(MISSING))
    assert done.returncode == 1
    assert 'virtual environment' in done.stderr and MISSING in done.stderr
    assert asked(tmp_path) is None
