"""Who holds a data directory: one lock file, and beside it what others need to know about the holder."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_LOCK = "stack.lock"
_INFO = "stack.json"


class StackError(Exception):
    """The stack cannot start, and why, in words for the person who started it."""


@dataclass(frozen=True, kw_only=True)
class StackInfo:
    """A running stack, as others see it.

    Attributes:
        pid: The supervisor's process.
        port: Where its web server listens; None if it serves no pages (`manage.py search run`).
        started_at: Seconds since the epoch.
    """

    pid: int
    port: int | None
    started_at: float


class DataDirLock:
    """An exclusive lock on a data directory; the kernel frees it when the holder ends, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._descriptor: int | None = None

    def acquire(self, *, patience_s: float = 1.0) -> None:
        """Take the lock.

        Args:
            patience_s: How long to wait for it: someone may only be looking (`running_stack`), or just be ending.

        Raises:
            StackError: Another stack holds it, or the directory cannot be written.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StackError(
                f"Cannot write to the data directory {self.data_dir}: {error.strerror}. Set NASWEB_DATA_DIR."
            ) from error
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise StackError(self._held()) from None
                time.sleep(0.05)
        (self.data_dir / _INFO).unlink(missing_ok=True)  # of a holder that was killed
        self._descriptor = descriptor

    def publish(self, *, port: int | None) -> None:
        """Write down who holds the lock."""
        info = StackInfo(pid=os.getpid(), port=port, started_at=time.time())
        draft = self.data_dir / f"{_INFO}.{os.getpid()}"
        draft.write_text(json.dumps(asdict(info)))
        draft.replace(self.data_dir / _INFO)

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held."""
        if self._descriptor is None:
            return
        (self.data_dir / _INFO).unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def _held(self) -> str:
        info = _read_info(self.data_dir)
        who = f"process {info.pid}" if info else "another process"
        where = f", serving http://127.0.0.1:{info.port}/" if info and info.port else ""
        return (
            f"The data directory {self.data_dir} is in use by {who}{where}. Stop that one first, or give this one a "
            "directory and a port of its own: NASWEB_DATA_DIR=... NASWEB_PORT=..."
        )


def running_stack(data_dir: Path) -> StackInfo | None:
    """The stack that holds `data_dir` now, or None. A stack still on its way up counts as none until it serves."""
    try:
        descriptor = os.open(data_dir / _LOCK, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_info(data_dir)
    finally:
        os.close(descriptor)
    return None


def _read_info(data_dir: Path) -> StackInfo | None:
    try:
        return StackInfo(**json.loads((data_dir / _INFO).read_text()))
    except (OSError, ValueError, TypeError):
        return None
