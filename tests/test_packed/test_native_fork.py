"""A process that has a model forks, as data loaders do."""
import gc
import os
import signal
import time

import numpy as np
import pytest
from programs import reactnet

from mmreact.packed.native import NativeBackend


@pytest.mark.parametrize('asleep', [True, False])
def test_child_runs_and_deletes_a_model(asleep):
    """Alone: the threads stay with the parent, which is not disturbed."""
    program = reactnet(((256, 1), ), 128)
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32))
    model = NativeBackend(program, threads=3)
    expected = model.run(x, ['fc'])['fc']
    if asleep:
        time.sleep(0.05)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # ends the child if it waits for threads
        try:
            same = all(
                np.array_equal(model.run(x, ['fc'])['fc'], expected)
                for _ in range(20))
            del model
            gc.collect()
            os._exit(7 if same else 8)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert np.array_equal(model.run(x, ['fc'])['fc'], expected)
