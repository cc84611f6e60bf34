"""A device that many share, and one at times has alone: while operations are measured nothing else computes on it.

Two files beside each other stand for a device. Who trains holds the first one shared; who measures holds it alone. In
front of it is a turnstile (the second file): who trains goes through it, who measures holds it shut from the moment it
waits until it is done. So trainings that keep coming cannot starve a measurement; and those that are under way look at
the turnstile a few times a second, between two batches, and let go while it is shut. Locks are `flock`s: they end with
the process that holds them, whatever ended it.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from engine.errors import Interrupted
from engine.evaluation.base import ENOUGH, Emit, ShouldStop

#: what people read while a piece of work waits
WAITING = "waiting for the device"
#: seconds between two tries of who waits, and between two looks of who trains
TRY_S, LOOK_S = 0.05, 0.25


class Device:
    """A device as a piece of work sees it.

    Args:
        path: of its lock; its folder is made where there is none.
        emit: told when the work waits, and when it goes on with what it did.
        should_stop: asked while it waits; "enough" waits on.
    """

    def __init__(self, path: Path, emit: Emit, should_stop: ShouldStop) -> None:
        self.path, self._tell, self._asked = path, emit, should_stop
        self._phase: dict[str, Any] | None = None
        self._lock: IO[bytes] | None = None
        self._gate: IO[bytes] | None = None
        self._sharing = self._waited = False
        self._looked = 0.0

    # -- how a piece of work has it -----------------------------------------------------------
    @contextmanager
    def shared(self) -> Iterator[None]:
        """Has it beside others; inside, `should_stop` lets those in who measure.

        Raises:
            Interrupted: an order came while it waited.
        """
        with self._files():
            if reason := self._enter():
                raise Interrupted(reason)
            self._sharing = True
            try:
                yield
            finally:
                self._sharing = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Has it alone.

        Raises:
            Interrupted: an order came while it waited.
        """
        with self._files():
            assert self._gate is not None and self._lock is not None
            for file in (self._gate, self._lock):
                if reason := self._wait(file, fcntl.LOCK_EX):
                    raise Interrupted(reason)
            self._go_on()
            yield

    def should_stop(self) -> str | None:
        """Orders, as of the work; of work that shares the device, after it has waited for who wants it alone."""
        reason = self._asked()
        now = time.monotonic()
        if not self._sharing or _ends(reason) or now - self._looked < LOOK_S:
            return reason
        self._looked = now
        assert self._gate is not None and self._lock is not None
        if _take(self._gate, fcntl.LOCK_SH):
            _drop(self._gate)
            return reason
        _drop(self._lock)
        return self._enter() or self._asked()

    def emit(self, event: dict[str, Any]) -> None:
        """Passes events on, and remembers the phase that a wait interrupts."""
        if event.get("kind") == "phase":
            self._phase = event
        self._tell(event)

    # -- the locks ----------------------------------------------------------------------------
    @contextmanager
    def _files(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as lock, self.path.with_name(f"{self.path.name}.gate").open("ab") as gate:
            self._lock, self._gate = lock, gate
            yield  # closing the files gives the locks back

    def _enter(self) -> str | None:
        """Through the turnstile to a share of the device; an order where one came first."""
        assert self._gate is not None and self._lock is not None
        for file in (self._gate, self._lock):
            if reason := self._wait(file, fcntl.LOCK_SH):
                return reason
        _drop(self._gate)
        self._go_on()
        return None

    def _wait(self, file: IO[bytes], how: int) -> str | None:
        while not _take(file, how):
            if not self._waited:
                self._waited = True
                self._tell({"kind": "phase", "phase": WAITING})
            if _ends(reason := self._asked()):
                return reason
            time.sleep(TRY_S)
        return None

    def _go_on(self) -> None:
        """Says what it does again, where it had said that it waits."""
        if self._waited and self._phase is not None:
            self._tell(self._phase)
        self._waited, self._looked = False, time.monotonic()


def _ends(reason: str | None) -> bool:
    """Whether an order ends the work now; "enough" lets it come to the end of its epoch."""
    return reason is not None and reason != ENOUGH


def _take(file: IO[bytes], how: int) -> bool:
    """Whether the lock was to be had at once."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _drop(file: IO[bytes]) -> None:
    fcntl.flock(file, fcntl.LOCK_UN)
