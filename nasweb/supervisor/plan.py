"""Which processes a stack consists of, in the order in which they start."""

import os
import sys
from pathlib import Path

from nasweb.supervisor.child import Child
from nasweb.supervisor.machine import cores, gpus

PROJECT = Path(__file__).resolve().parent.parent.parent
# A job may take ten seconds to write its checkpoint and hand itself back; killing it earlier only costs it some epochs.
WORKER_GRACE_S = 10.0


def python_child(
    name: str, arguments: list[str], *, env: dict[str, str], logs: Path, grace_s: float = 5.0, fds: tuple[int, ...] = ()
) -> Child:
    """A Python process of this project."""
    return Child(
        name=name,
        command=[sys.executable, *arguments],
        env=env,
        cwd=PROJECT,
        log_path=logs / f"{name}.log",
        grace_s=grace_s,
        pass_fds=fds,
    )


def web_child(*, env: dict[str, str], logs: Path, listener: int) -> Child:
    """The ASGI server on an open listening socket."""
    return python_child(
        "web", ["-m", "nasweb.server", str(listener)], env=_single_threaded(env), logs=logs, fds=(listener,)
    )


def control_child(*, env: dict[str, str], logs: Path) -> Child:
    """The worker of the control queue: two threads, so that a reap never waits for a strategy that thinks."""
    return python_child(
        "control",
        ["-m", "celery", "-A", "nasweb.celery", "worker", "--queues", "control", *POOL, "--concurrency", "2"]
        + ["--hostname", f"control-{os.getpid()}@%h"],
        env=_single_threaded(env),
        logs=logs,
    )


def beat_child(*, env: dict[str, str], logs: Path) -> Child:
    """The clock that asks for a reap; its schedule lives in memory and it writes no files."""
    return python_child(
        "beat",
        ["-m", "celery", "-A", "nasweb.celery", "beat", "--loglevel", "WARNING", "--pidfile", ""],
        env=_single_threaded(env),
        logs=logs,
    )


def worker_children(
    *, env: dict[str, str], logs: Path, workers: int | None, concurrency: int | None, name: str
) -> list[Child]:
    """The workers of the trials queue.

    Args:
        env: Their environment.
        logs: Folder of their logs.
        workers: How many; None means one for each GPU, or one for the CPU.
        concurrency: Jobs at a time in each; None means one on a GPU, and on the CPU all cores shared out evenly.
        name: What their names start with.
    """
    devices = gpus() if env.get("CUDA_VISIBLE_DEVICES") != "" else []
    count = workers if workers is not None else max(1, len(devices))
    children = []
    for number in range(count):
        if devices:
            device, slots = devices[number % len(devices)][0], concurrency or 1
            own_env = env | {"CUDA_VISIBLE_DEVICES": device}
        else:
            slots, own_env = concurrency or max(1, cores() // count), env | {"CUDA_VISIBLE_DEVICES": ""}
        label = f"worker-{number + 1}"
        children.append(
            python_child(
                label,
                ["manage.py", "worker", "--concurrency", str(slots), "--name", f"{name}-{number + 1}"],
                env=own_env,
                logs=logs,
                grace_s=WORKER_GRACE_S,
            )
        )
    return children


POOL = ["--pool", "threads", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]


def _single_threaded(env: dict[str, str]) -> dict[str, str]:
    """Numerical libraries must not start a thread per core in processes that hardly compute."""
    return {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | env
