"""Write a checkpoint and stop at SIGTERM or Ctrl+C (SIGINT).

Slurm sends SIGTERM before it ends a job, torchrun passes both to all its
processes. While a :class:`mmreact.engine.ResumableTrainLoop` trains, the
iteration is finished and a checkpoint written; at any other time nothing is
lost and the process ends at once. So it does at a second Ctrl+C.
"""
import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.dist import (all_reduce, barrier, get_comm_device,
                           is_distributed, is_main_process)

#: Of a process that SIGTERM told to stop and that goes on with ``--resume``:
#: EX_TEMPFAIL of sysexits.h, "try again later". The launcher scripts look for
#: it.
EXIT_CODE = 75
#: After Ctrl+C: 128 + SIGINT, as shells have it. Nothing is tried again.
INTERRUPTED = 130


class Preempted(SystemExit):
    """The process was told to stop.

    Rank 0 ends with :data:`EXIT_CODE` (or :data:`INTERRUPTED`) and the others
    with 0, since Slurm and torchrun kill what is left of a job at the first
    exit code that is not 0.
    """

    def __init__(self):
        code = (
            INTERRUPTED if _Request.arrived == signal.SIGINT else EXIT_CODE)
        super().__init__(code if is_main_process() else 0)


class _Request:
    """Which signal asked for a stop (0: none), and may it interrupt?"""
    arrived = 0
    deferred = False


def arrived() -> int:
    """The signal that told this process to stop, 0 if there was none."""
    return _Request.arrived


def _receive(signum, frame) -> None:
    again = signum == _Request.arrived == signal.SIGINT
    _Request.arrived = signum
    if again:  # a third one ends what does not even end now
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if again or not _Request.deferred:
        raise Preempted
    if signum == signal.SIGINT:  # print is not safe in a signal handler
        os.write(
            2, b'Ctrl+C: the iteration is finished and a checkpoint '
            b'written. Press it again to stop at once.\n')


@contextmanager
def handle_signals() -> Iterator[None]:
    """Within, SIGTERM and Ctrl+C end the process without a traceback.

    So does an error that follows one: when the processes of a job are told to
    stop, some notice first that another one has gone. A SIGINT that is
    ignored, as shells let it be in background jobs of a script, stays so.
    """
    signals = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signals.append(signal.SIGINT)
    before = {signum: signal.signal(signum, _receive) for signum in signals}
    try:
        yield
    except Exception as error:
        if not _Request.arrived:
            raise
        name = signal.Signals(_Request.arrived).name
        print(f'After {name}: {type(error).__name__}: {error}',
              file=sys.stderr, flush=True)  # yapf: disable
        raise Preempted from error
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        _Request.arrived = 0


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a first signal only sets what :func:`arrived` says."""
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
            return bool(arrived())
        last, self.flag = self.flag, torch.tensor(
            float(arrived()), device=get_comm_device())
        all_reduce(self.flag, op='max')
        if last is None or not last:
            return False
        _Request.arrived = int(last)
        return True


def leave() -> None:
    """End this process after an agreement, rank 0, which has written, last.
    """
    barrier()
    if is_distributed() and is_main_process():
        time.sleep(1)
    raise Preempted
