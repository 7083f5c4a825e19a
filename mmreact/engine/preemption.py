"""Stop in good order when the machine is taken away (SIGTERM).

Slurm sends SIGTERM before it ends a job, torchrun passes it to all its
processes. While a :class:`mmreact.engine.ResumableTrainLoop` trains, the
iteration is finished and a checkpoint written; at any other time nothing is
lost and the process ends at once.
"""
import signal
import sys
import time
from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.dist import (all_reduce, barrier, get_comm_device,
                           is_distributed, is_main_process)

#: Of a process that was told to stop and goes on with ``--resume``:
#: EX_TEMPFAIL of sysexits.h, "try again later". The launcher scripts look for
#: it.
EXIT_CODE = 75


class Preempted(SystemExit):
    """The process was told to stop.

    Rank 0 ends with :data:`EXIT_CODE` and the others with 0, since Slurm and
    torchrun kill what is left of a job at the first exit code that is not 0.
    """

    def __init__(self):
        super().__init__(EXIT_CODE if is_main_process() else 0)


class _Request:
    """Whether a stop was asked for, and whether it may interrupt."""
    arrived = False
    deferred = False


def arrived() -> bool:
    """Whether this process received SIGTERM."""
    return _Request.arrived


def _receive(signum, frame) -> None:
    _Request.arrived = True
    if not _Request.deferred:
        raise Preempted


@contextmanager
def handle_sigterm() -> Iterator[None]:
    """Within, SIGTERM ends the process with :data:`EXIT_CODE`.

    So does an error that follows a SIGTERM: when the processes of a job are
    told to stop, some notice first that another one has gone.
    """
    before = signal.signal(signal.SIGTERM, _receive)
    try:
        yield
    except Exception as error:
        if not _Request.arrived:
            raise
        print(f'After SIGTERM: {type(error).__name__}: {error}',
              file=sys.stderr, flush=True)  # yapf: disable
        raise Preempted from error
    finally:
        signal.signal(signal.SIGTERM, before)
        _Request.arrived = False


@contextmanager
def deferred() -> Iterator[None]:
    """Within, SIGTERM only sets what :func:`arrived` says."""
    _Request.deferred = True
    try:
        yield
    finally:
        _Request.deferred = False


class Agreement:
    """Whether to stop, the same answer in all processes.

    Each process may receive the signal in another iteration. In each
    iteration they reduce a flag; the result is read in the next one, when it
    is there without waiting (MMEngine has waited for the loss in between).
    """

    def __init__(self):
        self.flag = None

    def reached(self) -> bool:
        """Call once an iteration, in all processes."""
        if not is_distributed():
            return arrived()
        last, self.flag = self.flag, torch.tensor(
            float(arrived()), device=get_comm_device())
        all_reduce(self.flag, op='max')
        return last is not None and bool(last)


def leave() -> None:
    """End this process after an agreement, rank 0, which has written, last.
    """
    barrier()
    if is_distributed() and is_main_process():
        time.sleep(1)
    raise Preempted
