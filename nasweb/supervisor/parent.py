"""Ending with whoever started us: `make`, killed or interrupted in ways that leave its child alone."""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_ENDINGS = (signal.SIGINT, signal.SIGHUP)


class Parent:
    """Watches the `make` that runs the supervisor; watches nothing when it was started by anything else.

    A shell may end and leave `manage.py up &` running on purpose; a `make` that ends never means that.
    """

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._watched = sys.platform == "linux" and _command(self._pid) in {"make", "gmake"}
        self._caught = [number for number in _ENDINGS if self._watched and _catches(self._pid, number)]
        if self._watched:
            # Set from the main thread: the kernel looks at the thread that asked.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

    def is_leaving(self) -> bool:
        """Whether `make` has ended, or was told to by a signal to itself alone.

        A SIGINT to its process id, or the SIGHUP of a terminal whose first process it is: make 4.3 answers those by
        waiting for its child with its handler removed, which is what can be seen.
        """
        if not self._watched:
            return False
        if os.getppid() != self._pid:
            return True
        return not all(_catches(self._pid, number) for number in self._caught)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether process `pid` has a handler for signal `number`; True if that cannot be seen."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except OSError:
        pass
    return True
