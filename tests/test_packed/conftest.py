"""Fixtures of the packed networks' tests."""
import subprocess
import sys

import pytest
from small_networks import build_packed


@pytest.fixture
def packed():
    return build_packed()


@pytest.fixture
def peak_memory():
    """Function(preparation, statement) -> bytes that the statement takes.

    In a process of its own: its highest memory, less what it has before.
    """

    def measure(preparation, statement):
        code = f"""
def read(key):
    for line in open('/proc/self/status'):
        if line.startswith(key):
            return int(line.split()[1]) * 1024
{preparation}
before = read('VmRSS')
{statement}
print(read('VmHWM') - before)
"""
        done = subprocess.run([sys.executable, '-c', code],
                              capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    return measure
