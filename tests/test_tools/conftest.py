"""Training by several processes, for the tests of the shell scripts."""
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


class Scripts:
    """The shell scripts of tools/, with this Python, on a free port."""

    @staticmethod
    def free_port() -> int:
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            return s.getsockname()[1]

    def start(self, script, *args, **env) -> subprocess.Popen:
        """Start one, in a process group of its own."""
        env = dict(
            os.environ,
            PYTHON=sys.executable,
            PORT=str(self.free_port()),
            OMP_NUM_THREADS='1') | env
        return subprocess.Popen([str(TOOLS / script), *map(str, args)],
                                env=env,
                                text=True,
                                start_new_session=True,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def finish(self, process, check=True):
        """Wait for its end; ``(stdout, stderr)``. It leaves nothing behind."""
        try:
            out, err = process.communicate(timeout=600)
        finally:
            if process.returncode is None:  # torchrun ends the others
                os.killpg(process.pid, signal.SIGTERM)
        if check:
            assert process.returncode == 0, out[-2000:] + err[-5000:]
        return out, err

    def run(self, script, *args, check=True, **env):
        """Run one to its end: ``(stdout, stderr)``."""
        return self.finish(self.start(script, *args, **env), check)


@pytest.fixture(scope='session')
def scripts():
    return Scripts()


@pytest.fixture(scope='session')
def dist_trained(tiny_configs, tmp_path_factory, scripts):
    """A whole training by two processes: ``(work directory, output)``."""
    work_dir = tmp_path_factory.mktemp('dist_trained')
    out, _ = scripts.run('dist_train.sh', tiny_configs / 'stage2.py', 2,
                         '--work-dir', work_dir)
    return work_dir, out
