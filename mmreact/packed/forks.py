"""Forks beside threads that compute.

A child process has the memory of its parent but only one of its threads. A
lock that another thread held at that moment stays held in the child for ever.
"""
import os
from threading import Condition, get_ident
from typing import Set


class ForkGate:
    """Work that no fork may interrupt: ``with gate: ...``

    A fork waits until all other threads have left; meanwhile none enters. So
    a library that is called inside holds no lock in the child.
    Threads may be inside at the same time, a thread not twice.
    """

    def __init__(self):
        self._renew()
        os.register_at_fork(
            before=self._close,
            after_in_parent=self._open,
            after_in_child=self._renew)

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forks)
            self._inside.add(get_ident())

    def __exit__(self, *error) -> None:
        with self._changed:
            self._inside.discard(get_ident())
            self._changed.notify_all()

    def _close(self) -> None:
        self._changed.acquire()
        self._forks += 1
        self._changed.wait_for(lambda: not self._inside - {get_ident()})

    def _open(self) -> None:
        self._forks -= 1
        self._changed.notify_all()
        self._changed.release()

    def _renew(self) -> None:
        self._changed = Condition()
        self._inside: Set[int] = set()  # threads
        self._forks = 0  # that wait for them
