"""One supervised process: started, watched, restarted with growing pauses, stopped politely and then firmly."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nasweb.supervisor.logs import Follower, rotate, tail, trim

log = logging.getLogger(__name__)

_LAUNCH = Path(__file__).with_name("launch.py")
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_STEADY_S = 10.0
_TRIM_EVERY_S = 30.0


def launched(
    command: Sequence[str], *, signal_number: int, lock: Path | None = None, uid: int | None = None
) -> list[str]:
    """`command` behind the launcher, which makes it end with this thread (see `launch.py`)."""
    return [
        *(sys.executable, "-I", "-S", str(_LAUNCH)),
        *(str(os.getpid()), str(int(signal_number)), str(lock or "-"), "-" if uid is None else str(uid)),
        "--",
        *command,
    ]


@dataclass(kw_only=True)
class Child:
    """A process of the stack and what is needed to start it again.

    Attributes:
        name: What it is called in logs and messages; its log is <name>.log.
        command: Program and arguments.
        env: Its whole environment.
        log_path: Where its output goes.
        lock: A file that it holds locked for its life.
        death_signal: What the kernel sends it when the supervisor is gone.
        grace_s: How long it may take to stop before it is killed.
        pass_fds: Open files that it inherits.
    """

    name: str
    command: Sequence[str]
    env: dict[str, str]
    log_path: Path
    cwd: Path
    lock: Path | None = None
    death_signal: int = signal.SIGKILL
    grace_s: float = 5.0
    pass_fds: Sequence[int] = ()
    restarts: int = field(default=0, init=False)
    held_down: bool = field(default=False, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)
    _pause_s: float = field(default=_FIRST_PAUSE_S, init=False)
    _due: float = field(default=0.0, init=False)
    _trimmed: float = field(default=0.0, init=False)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def running_for_s(self) -> float:
        """Seconds since its last start."""
        return time.monotonic() - self._started

    def follower(self, *, everything: bool) -> Follower:
        """A reader of what it writes from now on."""
        return Follower(self.log_path, everything=everything)

    def start(self) -> None:
        """Start it, with a session of its own (Ctrl-C in the terminal is the supervisor's business) and no input."""
        if self._process is None:
            rotate(self.log_path)
        with self.log_path.open("ab") as output:
            self._process = subprocess.Popen(
                launched(self.command, signal_number=self.death_signal, lock=self.lock),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
                pass_fds=tuple(self.pass_fds),
            )
        self._started = time.monotonic()

    def poll(self) -> str | None:
        """Look after it once: restart it when it has ended and its pause is over.

        Returns:
            What happened, in words, or None.
        """
        if self._process is None or self.held_down:
            return None
        now = time.monotonic()
        if now - self._trimmed > _TRIM_EVERY_S:
            self._trimmed = now
            trim(self.log_path)
        code = self._process.poll()
        if code is None:
            if self.running_for_s > _STEADY_S:
                self._pause_s = _FIRST_PAUSE_S
            return None
        if not self._due:
            self._due = now + self._pause_s
            pause, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
            return f"{self.name} ended ({_in_words(code)}); starting it again in {pause:g} s"
        if now < self._due:
            return None
        self._due = 0.0
        self.restarts += 1
        self.start()
        return None

    def last_words(self) -> list[str]:
        """The end of its log."""
        return tail(self.log_path)

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill_group(self) -> None:
        """Kill it and whatever it has left in its session."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.signal(signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within `timeout_s`."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
