"""Compile peak.cpp for this machine and run it."""
import json
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

SOURCE = Path(__file__).with_name('peak.cpp')


def measure_peaks() -> dict:
    """What one core can do at most.

    Returns:
        dict: ``gmacs``, name of a kernel or kind of number -> GMAC/s;
        ``gigabytes``, size of a buffer of floats -> GB/s that are read and
        written when each is changed.

    Raises:
        RuntimeError: If there is no C++ compiler, or peak.cpp has no loops
            for this processor.
    """
    compiler = os.environ.get('CXX', 'c++')
    if not shutil.which(compiler):
        raise RuntimeError(f'There is no C++ compiler {compiler!r}. Install '
                           'one (Debian and Ubuntu: apt install g++).')
    with TemporaryDirectory() as folder:
        program = Path(folder, 'peak')
        for command in ([
                compiler, '-std=c++17', '-O3',
                str(SOURCE), '-o',
                str(program)
        ], [str(program)]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f'{command[0]} fails: {done.stderr}')
    return json.loads(done.stdout)
