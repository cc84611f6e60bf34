"""Computing for a page with a limit on its time: what a person asks for must not hold a thread of the server for ever.

Options of a space are bounded, but what follows from them (counting a large space exactly) may still take minutes.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
#: computations that may go on at the same time; more wait for their turn within their own limit
AT_ONCE = 4
_turns = threading.BoundedSemaphore(AT_ONCE)


class TookTooLong(Exception):  # noqa: N818 - an outcome, not an error of the program
    """The limit was reached; the computation was ended."""


class _Run(threading.Thread, Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(daemon=True, name="bounded")
        self._call, self._guard, self._over = call, threading.Lock(), False
        self.ended = threading.Event()
        self.value: T | None = None
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            value = self._call()
            with self._guard:
                self._over = True
                self.value = value
        except BaseException as e:
            with self._guard:
                self._over = True
                self.problem = e
        finally:
            self.ended.set()

    def end(self) -> None:
        """Raises `TookTooLong` in the thread, at its next Python instruction."""
        with self._guard:
            if not self._over and self.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(TookTooLong))


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns, or raises.

    It runs in a thread of its own and must not touch the database. It must be Python: a single call into C is not
    interrupted.

    Raises:
        TookTooLong: it was not done in time, or too many others are at work.
    """
    if not _turns.acquire(timeout=seconds):
        raise TookTooLong
    run: _Run[T] = _Run(call)
    try:
        run.start()
        if not run.ended.wait(seconds):
            run.end()
            run.ended.wait(1.0)
            raise TookTooLong
    finally:
        _turns.release()
    if run.problem is not None:
        raise run.problem
    value: Any = run.value
    return value
