"""`make run` leaves no process behind, however it ends; and what dies inside is started again."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from nasweb.addresses import embedded_socket
from nasweb.supervisor import Stack, StackError, running_stack
from tests.faults.conftest import WITHOUT_TORCH
from tests.prepared import furnish
from tests.signals import as_a_shell_starts_it
from tests.waiting import wait_until

pytestmark = pytest.mark.faults
PROJECT = Path(__file__).resolve().parents[2]


def processes_of(data_dir: Path) -> dict[int, str]:
    """Every living process of `data_dir`, found by its environment, or (Redis wipes its own) by its folder."""
    found = {}
    for process in psutil.process_iter():
        try:
            here = process.environ().get("NASWEB_DATA_DIR") == str(data_dir)
            if (here or process.cwd().startswith(str(data_dir))) and process.status() != "zombie":
                found[process.pid] = " ".join(process.cmdline())[:100]
        except psutil.Error:
            continue
    return found


def assert_gone(data_dir: Path) -> None:
    """Nothing of `data_dir` lives any more, soon."""
    try:
        wait_until(lambda: not processes_of(data_dir), "nothing is left", timeout_s=15)
    except AssertionError:
        raise AssertionError(f"left behind: {processes_of(data_dir)}") from None


class MakeRun:
    """`make run` in a process group of its own, as a terminal starts it."""

    def __init__(self, data_dir: Path, port: int, *, terminal: bool = False) -> None:
        self.data_dir = data_dir
        self.master: int | None = None
        stdio: dict[str, int] = {"stdin": subprocess.DEVNULL}
        slave = -1
        if terminal:
            self.master, slave = pty.openpty()
            stdio = {"stdin": slave, "stdout": slave, "stderr": slave}
        environment = {**os.environ, "NASWEB_DATA_DIR": str(data_dir), "NASWEB_PORT": str(port)}
        output = None if terminal else (data_dir.parent / "make.log").open("wb")
        if output is not None:
            stdio |= {"stdout": output.fileno(), "stderr": output.fileno()}
        self.make = subprocess.Popen(
            # -o: the environment that runs this test is installed already.
            ["make", "--no-print-directory", "-o", ".venv/.installed", f"PY={sys.executable}", "run"],
            cwd=PROJECT,
            env=environment,
            start_new_session=not terminal,
            preexec_fn=_own_terminal if terminal else as_a_shell_starts_it,  # noqa: PLW1509
            **stdio,
        )
        if output is not None:
            output.close()
        if terminal:
            os.close(slave)
        info = wait_until(lambda: running_stack(data_dir), "the stack serves", timeout_s=40)
        assert info.port == port
        self.supervisor = info.pid

    def close_terminal(self) -> None:
        """What a closed window does."""
        assert self.master is not None
        os.close(self.master)
        self.master = None


def _own_terminal() -> None:
    as_a_shell_starts_it()
    os.setsid()
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def run(stack_folder: Path, free_port: int) -> Iterator[Callable[..., MakeRun]]:
    """Starts `make run`, with ``fresh=True`` for the first time; whatever a failing test leaves is killed."""
    data_dir = stack_folder / "d"

    def start(*, fresh: bool = False, **options: bool) -> MakeRun:
        if not fresh:
            furnish(data_dir)
        return MakeRun(data_dir, free_port, **options)

    yield start
    for pid in processes_of(data_dir):
        os.kill(pid, signal.SIGKILL)


def _ctrl_c(run: MakeRun) -> None:
    os.killpg(run.make.pid, signal.SIGINT)


def _ctrl_c_twice(run: MakeRun) -> None:
    os.killpg(run.make.pid, signal.SIGINT)
    time.sleep(0.15)  # as quick as a hand
    os.killpg(run.make.pid, signal.SIGINT)


ENDINGS: dict[str, Callable[[MakeRun], object]] = {
    "Ctrl-C": _ctrl_c,
    "Ctrl-C twice": _ctrl_c_twice,
    "TERM to make": lambda run: run.make.terminate(),
    "TERM to the supervisor": lambda run: os.kill(run.supervisor, signal.SIGTERM),
    "kill -9 make": lambda run: run.make.kill(),
    "kill -9 the supervisor": lambda run: os.kill(run.supervisor, signal.SIGKILL),
    "INT to make alone": lambda run: run.make.send_signal(signal.SIGINT),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left(run: Callable[..., MakeRun], ending: str) -> None:
    running = run()
    parts = processes_of(running.data_dir)
    assert len(parts) >= 7, parts  # make, supervisor, Redis, control, worker, beat, web
    ENDINGS[ending](running)
    assert_gone(running.data_dir)
    assert running_stack(running.data_dir) is None
    running.make.wait(5)


def test_nothing_is_left_when_the_terminal_closes(run: Callable[..., MakeRun]) -> None:
    running = run(terminal=True, fresh=True)
    running.close_terminal()
    assert_gone(running.data_dir)
    running.make.wait(5)


def test_starts_again_at_once_after_kill_9_and_keeps_the_queue(make_stack: Callable[..., Stack]) -> None:
    """The second Redis waits for the first one's end: it neither steals its socket nor loses what was queued."""
    stack = make_stack(web=False, workers=0, control=False)
    client = redis.Redis.from_url(f"unix://{embedded_socket(stack.data_dir)}")
    for number in range(200):
        client.rpush("kept", number)
    old = stack.kill("redis", signal.SIGTERM)
    wait_until(lambda: stack.pids().get("redis") not in {None, old}, "Redis is back")
    wait_until(lambda: _answers(client), "Redis answers")
    assert client.llen("kept") == 200
    old = stack.kill("redis", signal.SIGKILL)
    wait_until(lambda: stack.pids().get("redis") not in {None, old}, "Redis is back")
    wait_until(lambda: _answers(client), "Redis answers")
    assert client.llen("kept") == 200


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.RedisError:
        return False


def test_every_part_is_started_again(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(workers=1, env=WITHOUT_TORCH)
    before = stack.pids()
    assert set(before) == {"redis", "web", "control", "worker-1", "beat"}
    for name in before:
        stack.kill(name)
    wait_until(
        lambda: set(stack.pids()) == set(before) and not set(stack.pids().values()) & set(before.values()),
        "all five run as new processes",
    )
    wait_until(lambda: stack.health().get("workers") == 1, "it is whole again")
    assert all(stack.restarts(name) == 1 for name in before)


def test_workers_go_on_after_redis_was_killed(make_stack: Callable[..., Stack]) -> None:
    """Their connections are gone with it; they find the new one and take what is queued."""
    stack = make_stack(workers=1, env=WITHOUT_TORCH)
    wait_until(lambda: stack.health().get("workers") == 1, "the worker is online")
    client = redis.Redis.from_url(f"unix://{embedded_socket(stack.data_dir)}")
    old = stack.kill("redis")
    wait_until(lambda: stack.pids().get("redis") not in {None, old} and _answers(client), "Redis is back")
    send = "from nasweb.celery import app; [app.send_task('searches.tasks.run_job', args=[0, 1]) for _ in range(5)]"
    stack.manage("shell", "-c", send)
    wait_until(lambda: client.llen("trials") == 0 and client.llen("control") == 0, "the queues are emptied")


def test_health_names_what_is_frozen_within_two_seconds(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(workers=0, control=False)
    assert stack.health() == {"database": "ok", "redis": "ok", "workers": 0}
    os.kill(stack.pids()["redis"], signal.SIGSTOP)
    began = time.monotonic()
    state = stack.health()
    assert time.monotonic() - began < 2
    assert state["database"] == "ok"
    assert "no answer" in state["redis"]
    os.kill(stack.pids()["redis"], signal.SIGCONT)
    wait_until(lambda: stack.health().get("redis") == "ok", "Redis answers again")


def test_a_directory_or_a_port_in_use_is_refused_before_anything_starts(
    make_stack: Callable[..., Stack], stack_folder: Path
) -> None:
    first = make_stack(workers=0, control=False)
    with pytest.raises(StackError, match=rf"{first.data_dir} is in use by process {os.getpid()}.*{first.port}"):
        make_stack(first.data_dir)
    other = stack_folder / "other"
    with pytest.raises(StackError, match=rf"Cannot listen on 127.0.0.1:{first.port}.*NASWEB_PORT="):
        make_stack(other, port=first.port)
    assert not (other / "logs").exists()
    assert running_stack(other) is None


def test_a_stack_that_serves_others_comes_up(make_stack: Callable[..., Stack]) -> None:
    secret = "kJ8-2hS0dPq_vX7mZr4TtLw9YbNcEf3GuAi6oHs1RxVlQ5DzMpBk"
    stack = make_stack(
        workers=0,
        control=False,
        host="0.0.0.0",
        env={"NASWEB_HOST": "0.0.0.0", "NASWEB_ALLOWED_HOSTS": "nas.example", "NASWEB_SECRET_KEY": secret},
    )
    assert stack.health()["database"] == "ok"
    with pytest.raises(StackError, match="NASWEB_SECRET_KEY"):
        make_stack(host="0.0.0.0", env={"NASWEB_HOST": "0.0.0.0", "NASWEB_ALLOWED_HOSTS": "nas.example"})


def test_two_stacks_run_side_by_side(make_stack: Callable[..., Stack]) -> None:
    one, two = make_stack(workers=0, control=False), make_stack(workers=0, control=False)
    assert one.port != two.port
    assert one.health()["redis"] == two.health()["redis"] == "ok"
    assert running_stack(one.data_dir) and running_stack(two.data_dir)


def test_a_stack_on_postgres_outlives_its_restart(make_stack: Callable[..., Stack], postgres_server: Any) -> None:
    url = postgres_server.create_database("outlives")
    stack = make_stack(workers=1, env={"NASWEB_DATABASE_URL": url, **WITHOUT_TORCH})
    wait_until(lambda: stack.health().get("workers") == 1, "the worker is online")
    assert not (stack.data_dir / "db.sqlite3").exists()
    pids = stack.pids()
    postgres_server.stop()
    wait_until(lambda: stack.health().get("database") != "ok", "the loss is seen")
    postgres_server.start()
    wait_until(lambda: stack.health().get("workers") == 1, "the worker beats again")
    assert stack.pids() == pids  # nobody had to be started again


def test_a_worker_told_to_stop_says_goodbye(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(workers=1, env=WITHOUT_TORCH)
    wait_until(lambda: stack.health().get("workers") == 1, "the worker is online")
    stack.kill("worker-1", signal.SIGTERM, restart=False)
    wait_until(lambda: stack.health().get("workers") == 0, "the worker has left", timeout_s=10)
    stack.revive("worker-1")
    wait_until(lambda: stack.health().get("workers") == 1, "the worker is back")


def test_a_part_that_cannot_start_says_why(make_stack: Callable[..., Stack], stack_folder: Path) -> None:
    with pytest.raises(StackError, match="NASWEB_LEASE_S"):
        make_stack(env={"NASWEB_LEASE_S": "soon"})
    assert not processes_of(stack_folder / "s0")
