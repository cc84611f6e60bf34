"""All processes of one data directory, started, looked after and stopped together."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nasweb.addresses import embedded_socket
from nasweb.supervisor.child import Child
from nasweb.supervisor.datadir import DataDirLock, StackError
from nasweb.supervisor.embedded_redis import redis_answers, redis_child
from nasweb.supervisor.logs import Follower
from nasweb.supervisor.plan import PROJECT, beat_child, control_child, web_child, worker_children

_POLL_S = 0.1
_HOPELESS_RESTARTS = 3


class Stack:
    """Redis, control worker, trials workers, beat and web server for one data directory.

    Either the owner drives it from one thread (`start`, then `poll` several times a second, at last `stop`), or a
    ``with`` block does, by a thread of its own. The processes end with the thread that started them, however that
    ends; that is why one thread does it all.

    Args:
        data_dir: Where all state lives; locked while the stack runs.
        port: Where the pages are served on 127.0.0.1; None takes a free one.
        web: Whether to serve pages at all.
        workers: Number of trials workers; None means one per GPU, or one for the CPU. 0 is possible.
        concurrency: Jobs at a time in each worker; None means one on a GPU, all cores on the CPU.
        control: Whether to run the control worker and beat.
        env: Environment variables to add to this process's own.
        host: The address to listen on.
        say: Where messages for people go; None drops them.
        verbose: Whether `say` gets every line of the children's logs, or errors only.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        web: bool = True,
        workers: int | None = None,
        concurrency: int | None = None,
        control: bool = True,
        env: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        say: Callable[[str], None] | None = None,
        verbose: bool = False,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.host = host
        self.port = port
        self.web = web
        self.workers = workers
        self.concurrency = concurrency
        self.control = control
        self.verbose = verbose
        self.children: dict[str, Child] = {}
        # Plain values, not events: signal handlers set them, and an event's lock may be held by what they interrupt.
        self.hurry = False
        self._leaving = False
        self._say = say or (lambda _line: None)
        self._extra_env = dict(env or {})
        self._lock = DataDirLock(self.data_dir)
        self._listener: socket.socket | None = None
        self._followers: dict[str, Follower] = {}
        self._thread: threading.Thread | None = None
        self._guard = threading.RLock()

    # --- Driving it ---------------------------------------------------------------------------------------------

    def start(self, *, timeout_s: float = 120.0) -> None:
        """Take the data directory and the port, bring the database up to date, start everything, wait until it serves.

        Raises:
            StackError: The directory or the port is taken (nothing was started then), or a process does not come up
                (everything was stopped again then).
        """
        self._lock.acquire()
        try:
            if self.web:
                self._listen()
            # Redis works on its files while this process looks at the database.
            if not self.env.get("NASWEB_REDIS_URL"):
                self._add(redis_child(self.data_dir, log_path=self.logs / "redis.log", env=self.env))
            self._prepare()
            for child in self._processes():
                self._add(child)
            self._await_ready(timeout_s)
            self._lock.publish(port=self.port if self.web else None)
        except BaseException:
            self.stop()
            raise

    def poll(self) -> None:
        """Look after every process once, and pass on what they have to say."""
        with self._guard:
            for name, child in self.children.items():
                happened = child.poll()
                if happened:
                    self._say(happened)
                    if not self.verbose:
                        for line in child.last_words():
                            self._say(f"{name} | {line}")
        self._follow()

    def interrupt(self) -> None:
        """Make a `start` that still waits give up; asked a second time, make `stop` kill instead of waiting.

        Safe to call from a signal handler.
        """
        self.hurry = self._leaving
        self._leaving = True

    @property
    def interrupted(self) -> bool:
        """Whether `interrupt` was called."""
        return self._leaving

    def stop(self) -> None:
        """Stop web, beat, the workers and Redis, in this order.

        What does not stop in its time, or when `hurry` is set, is killed.
        """
        workers = [name for name in self.children if name.startswith("worker-")]
        with self._guard:
            for group in (["web"], ["beat"], ["control", *workers], ["redis"]):
                self._stop_group([self.children[name] for name in group if name in self.children])
            self.children.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._lock.release()

    def __enter__(self) -> Self:
        failure: list[BaseException] = []
        started = threading.Event()

        def drive() -> None:
            try:
                self.start()
            except BaseException as error:  # handed to the thread that waits below
                failure.append(error)
                return
            finally:
                started.set()
            try:
                while not self._leaving:
                    self.poll()
                    time.sleep(_POLL_S)
            finally:
                self.stop()

        self._leaving = False
        self._thread = threading.Thread(target=drive, name="stack", daemon=True)
        self._thread.start()
        try:
            started.wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        if failure:
            self._thread.join()
            raise failure[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        if self._thread is not None:
            try:
                self._thread.join()
            except KeyboardInterrupt:  # the second Ctrl-C
                self.hurry = True
                self._thread.join()
            self._thread = None

    # --- Looking at it and disturbing it ------------------------------------------------------------------------

    @property
    def logs(self) -> Path:
        """The folder of the children's logs."""
        return self.data_dir / "logs"

    @property
    def env(self) -> dict[str, str]:
        """The environment of every process of this stack."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "nasweb.settings",
            "PYTHONUNBUFFERED": "1",
            **self._extra_env,
            "NASWEB_DATA_DIR": str(self.data_dir),
            **({"NASWEB_PORT": str(self.port)} if self.port else {}),
        }

    @property
    def url(self) -> str:
        """Where the pages are, without a slash at the end."""
        return f"http://{_reachable(self.host)}:{self.port}"

    def pids(self) -> dict[str, int]:
        """Name -> process id of every process that runs now."""
        return {name: child.pid for name, child in self.children.items() if child.pid is not None}

    def restarts(self, name: str) -> int:
        """How often process `name` had to be started again."""
        return self.children[name].restarts

    def kill(self, name: str, number: int = signal.SIGKILL, *, restart: bool = True) -> int:
        """Send a signal to process `name`; with ``restart=False`` it stays down until `revive`.

        Returns:
            The process id that got it.
        """
        with self._guard:
            child = self.children[name]
            pid = child.pid
            if pid is None:
                raise StackError(f"{name} is not running.")
            child.held_down = not restart
            child.signal(number)
            return pid

    def revive(self, name: str) -> None:
        """Let process `name` run again after ``kill(name, restart=False)``."""
        with self._guard:
            self.children[name].held_down = False

    def health(self) -> dict[str, Any]:
        """What ``/healthz`` answers, also when it is 503; empty if the server does not answer."""
        connection = http.client.HTTPConnection(_reachable(self.host), self.port or 0, timeout=3)
        try:
            connection.request("GET", "/healthz", headers={"Host": "localhost"})
            answer = json.loads(connection.getresponse().read())
            return answer if isinstance(answer, dict) else {}
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def manage(self, *arguments: str, timeout_s: float = 120) -> str:
        """The output of ``manage.py`` with `arguments`, run on this stack's data.

        Raises:
            StackError: The command failed; the message holds its output.
        """
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.env,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise StackError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def login_url(self) -> str:
        """A fresh link that logs the local user in once."""
        return self.manage("login_link").strip()

    # --- Inside -------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port or 0))
            listener.listen(512)
        except OSError as error:
            listener.close()
            raise StackError(
                f"Cannot listen on {self.host}:{self.port}: {error.strerror}. "
                f"Choose another port: make run NASWEB_PORT={(self.port or 8000) + 1}"
            ) from error
        self.port = listener.getsockname()[1]
        self._listener = listener

    def _processes(self) -> list[Child]:
        """What to start after the database is ready; the web server first, since it is what people wait for."""
        found = []
        if self._listener is not None:
            found.append(web_child(env=self.env, logs=self.logs, listener=self._listener.fileno()))
        if self.control:
            found.append(control_child(env=self.env, logs=self.logs))
        found += worker_children(
            env=self.env,
            logs=self.logs,
            workers=self.workers,
            concurrency=self.concurrency,
            name=socket.gethostname(),
        )
        if self.control:
            found.append(beat_child(env=self.env, logs=self.logs))
        return found

    def _add(self, child: Child) -> None:
        with self._guard:
            child.start()
            self.children[child.name] = child
        self._followers[child.name] = child.follower(everything=self.verbose)

    def _prepare(self) -> None:
        """Bring the database up to date; in this process if Django is set up here for the same data."""
        from django.conf import settings

        if not self._extra_env and settings.configured and self.data_dir == settings.DATA_DIR:
            from nasweb.prepare import prepare

            prepare(web=self.web)
        else:
            self.manage("prepare", *([] if self.web else ["--no-web"]))

    def _await_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._ready():
            self.poll()
            for child in self.children.values():
                if child.restarts >= _HOPELESS_RESTARTS:
                    raise StackError("\n".join([f"{child.name} does not start:", *child.last_words()]))
            if self._leaving:
                raise StackError("Interrupted before it was up.")
            if time.monotonic() > deadline:
                state = self.health() or "the web server does not answer"
                raise StackError(f"Not ready after {timeout_s:g} s: {state}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        if self.web:
            state = self.health()
            return state.get("database") == "ok" and state.get("redis") == "ok"
        return "redis" not in self.children or redis_answers(embedded_socket(self.data_dir))

    def _follow(self) -> None:
        for name, follower in self._followers.items():
            for line in follower.lines():
                self._say(f"{name} | {line}")

    def _stop_group(self, group: list[Child]) -> None:
        for child in group:
            child.signal(signal.SIGCONT)  # one that was frozen could not hear the next
            child.signal(signal.SIGTERM)
        started = time.monotonic()
        for child in group:
            while not child.wait(0.05):
                if self.hurry or time.monotonic() - started > child.grace_s:
                    self._say(f"{child.name} does not stop; killing it")
                    break
            child.kill_group()
            child.wait(5.0)


def _reachable(host: str) -> str:
    """An address to connect to for a server that listens on `host`."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host


@contextlib.contextmanager
def interruptible() -> Any:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt inside the block, so that a ``with Stack(...)`` stops in order."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
