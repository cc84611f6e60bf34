"""The children's log files: turned over at the start, bounded in size, and followed for the terminal."""

import contextlib
import re
import shutil
from pathlib import Path

KEPT = 3
_MAX_BYTES = 50 * 2**20
_ALARM = re.compile(r"\b(ERROR|CRITICAL)\b")


def rotate(path: Path) -> None:
    """Make room for a new log at `path`; the last `KEPT` are kept as name.1.log (newest), name.2.log, ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size == 0:
        return
    for number in range(KEPT - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            path.with_suffix(f".{number}.log").replace(path.with_suffix(f".{number + 1}.log"))
    path.replace(path.with_suffix(".1.log"))


def trim(path: Path) -> None:
    """Empty a log that has grown past 50 MB, keeping a copy; its writer appends and does not notice."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _MAX_BYTES:
            shutil.copyfile(path, path.with_suffix(".1.log"))
            with path.open("r+b") as file:
                file.truncate(0)


def tail(path: Path, lines: int = 15) -> list[str]:
    """The last lines of a log."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 16_384))
        return file.read().decode(errors="replace").splitlines()[-lines:]
    return []


class Follower:
    """Reads what was added to a log since it was last asked."""

    def __init__(self, path: Path, *, everything: bool) -> None:
        self.path = path
        self.everything = everything
        self._offset = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """New whole lines: all of them, or those that report an error."""
        try:
            size = self.path.stat().st_size
            if size < self._offset:  # trimmed
                self._offset = 0
            if size == self._offset:
                return []
            with self.path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(1_000_000)
        except FileNotFoundError:
            return []
        self._offset += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        found = (line.decode(errors="replace") for line in whole)
        return [line for line in found if self.everything or _ALARM.search(line)]
