"""Children of this worker that hold a supernet and wait for the next job on it."""

from __future__ import annotations

import contextlib
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from searches import child

#: a child about to give up waiting is not asked any more
MARGIN_S = 5.0


class Kept:
    """By (search, supernet). A child that has waited for `child.STAY_S` leaves by itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[int, int], tuple[ForkServerProcess, Connection, float]] = {}

    def put(self, key: tuple[int, int], process: ForkServerProcess, conn: Connection) -> None:
        """Keeps a child; another one of the same supernet is ended."""
        with self._lock:
            before = self._held.pop(key, None)
            self._held[key] = process, conn, time.monotonic()
            old = [k for k, (p, _, _) in self._held.items() if not p.is_alive()]
            gone = [self._held.pop(k) for k in old]
        for each in (*gone, *([before] if before else [])):
            _let_go(each)

    def take(self, key: tuple[int, int]) -> tuple[ForkServerProcess, Connection] | None:
        """The child that holds this supernet, if it still waits."""
        with self._lock:
            found = self._held.pop(key, None)
        if found is None:
            return None
        process, conn, since = found
        if process.is_alive() and time.monotonic() - since < child.STAY_S - MARGIN_S:
            return process, conn
        _let_go(found)
        return None

    def drop(self) -> None:
        """Ends all of them."""
        with self._lock:
            held, self._held = list(self._held.values()), {}
        for each in held:
            _let_go(each)


def _let_go(held: tuple[ForkServerProcess, Connection, float]) -> None:
    from searches.childwatch import end

    process, conn, _ = held
    with contextlib.suppress(OSError):
        conn.close()  # it ends itself when the pipe closes
    end(process)


kept = Kept()
