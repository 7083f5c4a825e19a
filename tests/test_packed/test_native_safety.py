"""Mutated files in the native backend, also with sanitizers."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmreact.packed import native

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Ends the process at the first finding.
SANITIZE = '-fsanitize=address,undefined -fno-sanitize-recover=all'.split()
IN_FOLDER = '''
import sys, pytest
from mmreact.packed import native
native.__file__ = sys.argv[1]
sys.exit(pytest.main(sys.argv[2:]))'''


def fuzz(number, seed, *folder, **environment):
    result = subprocess.run(
        [sys.executable, HERE / 'fuzz_native.py',
         str(number), str(seed), *folder],
        cwd=ROOT, text=True, capture_output=True,
        env=dict(os.environ, **environment))  # yapf: disable
    assert result.returncode == 0, result.stdout + result.stderr[-5000:]
    counts = json.loads(result.stdout)
    assert counts['compared'] > number / 100
    assert counts['refused, natively refused'] > number / 2


@pytest.mark.parametrize('number,seed', [
    (300, 0),
    pytest.param(5000, 1, marks=pytest.mark.slow),
])
def test_mutated_files(number, seed):
    try:
        native.library()
    except ImportError:
        pytest.skip('the compiled library was not built')
    fuzz(number, seed)


@pytest.fixture(scope='module')
def sanitized(tmp_path_factory):
    """A folder with the library, and the environment that it needs."""
    folder = tmp_path_factory.mktemp('sanitized')
    compiler = os.environ.get('CXX', 'c++')
    flags = ['-std=c++17', '-O1', '-g', '-ffp-contract=off', '-fPIC']
    try:
        runtime = [
            subprocess.run([compiler, f'-print-file-name={name}'],
                           check=True, text=True,
                           capture_output=True).stdout.strip()
            for name in ('libasan.so', 'libstdc++.so')
        ]  # yapf: disable
    except OSError:
        pytest.skip('no C++ compiler')
    if not all(os.path.isabs(path) for path in runtime):
        pytest.skip('the compiler has no shared library of the sanitizers')
    objects = []
    for source in sorted((ROOT / 'mmreact/csrc').rglob('*.cpp')):
        objects.append(folder / f'{len(objects)}.o')
        subprocess.run(
            [compiler, *flags, *SANITIZE, '-c', source, '-o', objects[-1]],
            check=True)
    subprocess.run([
        compiler, '-shared', '-pthread', *SANITIZE, *objects, '-o',
        folder / '_native.so'
    ], check=True)  # yapf: disable
    # Python itself does not free all that it has at its end.
    return folder, dict(
        LD_PRELOAD=' '.join(runtime), ASAN_OPTIONS='detect_leaks=0')


@pytest.mark.slow
def test_mutated_files_with_sanitizers(sanitized):
    folder, environment = sanitized
    fuzz(2000, 2, folder, **environment)


@pytest.mark.slow
def test_operations_with_sanitizers(sanitized):
    """The other tests of the backend, with a library that watches itself.

    Not beside OpenVINO: it loads a library in a way (RTLD_DEEPBIND) that the
    sanitizers refuse.
    """
    folder, environment = sanitized
    result = subprocess.run(
        [sys.executable, '-c', IN_FOLDER, folder / 'native.py',
         HERE / 'test_native.py', '-x', '-q', '-p', 'no:cacheprovider',
         '-k', 'not without_the_library and not beside_other_engines'],
        cwd=ROOT, text=True, capture_output=True,
        env=dict(os.environ, **environment))  # yapf: disable
    assert result.returncode == 0, (result.stdout + result.stderr)[-5000:]
    assert 'passed' in result.stdout and 'skipped' not in result.stdout
