"""Thousands of mutated files: refused by name, or programs that run."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name('fuzz_packed_files.py')


@pytest.mark.parametrize('number,seed', [
    (400, 0),
    pytest.param(5000, 1, marks=pytest.mark.slow),
])
def test_mutated_files(number, seed):
    """In a process of its own, whose memory is limited."""
    result = subprocess.run(
        [sys.executable, SCRIPT,
         str(number), str(seed)],
        cwd=SCRIPT.parents[2],
        text=True,
        capture_output=True,
        timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    report = json.loads(result.stdout)
    assert report['refused'] + report['valid'] >= number
    # The mutations are neither too coarse nor too fine.
    assert report['valid'] > number / 50
    assert report['reasons'] > 40
