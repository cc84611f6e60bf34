"""What runs in the child process of a job: no Django, no database, no secrets, one session of an evaluator.

The child speaks JSON over a pipe: events and one last message go up, orders come down. It ends itself when the pipe
closes and is killed with the worker, so nothing goes on training beside the job's next claim.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import json
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

#: names in the environment that a job has no business with
SECRETS = ("NASWEB_SECRET_KEY", "NASWEB_DATABASE_URL", "NASWEB_REDIS_URL")
#: loaded once by the fork server, so that a child starts within a tenth of a second (scipy is the strategies’)
PRELOAD = (
    "torch",
    "torchvision",
    "torch.optim",
    "safetensors.torch",
    "engine.conductor",
    "engine.evaluation.trained",
    "engine.training.loop",
    "engine.network.build",
    "engine.data.registry",
    "engine.supernets.nets.training",
    "engine.everything",
    "searches.child",
    "scipy.special",
    "scipy.optimize",
    "scipy.linalg",
    "scipy.stats",
)
#: how long a child that holds a supernet waits for the next piece of work on it
STAY_S = 60.0
_PR_SET_PDEATHSIG = 1
_FULL = (errno.ENOSPC, errno.EDQUOT)


def main(conn: Connection, job: Mapping[str, Any]) -> None:
    """Runs one job and ends; a child that holds a supernet waits for the next job of the same one before it ends.

    Args:
        conn: the child's end of the pipe.
        job: config, data_spec, kind, architecture (choices), fidelity, max_fidelity, seed, replicate, trial, folder,
            checkpoint, origin (weights to begin with: how, architecture, checkpoint), extra, report (of the search, for
            a full training's card), stay (wait for another job, of the same search, when this one has its report).
    """
    os.setsid()  # a group of its own: whatever it starts is killed with it
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN if sign == signal.SIGINT else signal.SIG_DFL)
    for name in SECRETS:
        os.environ.pop(name, None)
    pipe = Pipe(conn)
    held: dict[str, Any] = {}
    following: Mapping[str, Any] | None = job
    while following is not None:
        job = following
        with (Path(job["folder"]) / "fault.txt").open("w") as fault:
            faulthandler.enable(fault)
            try:
                last = _work(pipe, job, held)
            except BaseException as e:  # everything is told, whatever a plug-in raises
                last = _told(e)
            pipe.send(last)
            faulthandler.disable()
        stays = job.get("stay") and last["kind"] == "report" and last["report"]["failure"] is None
        following = pipe.next_job(STAY_S) if stays else None
    # no interpreter shutdown: threads of numerical libraries may hang in it, and everything was said
    os._exit(0)


class Pipe:
    """The child's end: events up, orders down."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._stop: str | None = None
        self._jobs: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                order = json.loads(self._conn.recv_bytes())
            except (EOFError, OSError):  # the worker is gone
                os.killpg(0, signal.SIGKILL)
            else:
                if "job" in order:
                    self._stop = None
                    self._jobs.put(order["job"])
                else:
                    self._stop = order["stop"]

    def next_job(self, timeout_s: float) -> Mapping[str, Any] | None:
        """The next job, None if there is none within that time."""
        with contextlib.suppress(queue.Empty):
            return self._jobs.get(timeout=timeout_s)
        return None

    def should_stop(self) -> str | None:
        """The reason to hand back, if the worker has given one."""
        return self._stop

    def send(self, message: Mapping[str, Any]) -> None:
        """Tells the worker something."""
        with self._lock:
            self._conn.send_bytes(json.dumps(message).encode())


def _work(pipe: Pipe, job: Mapping[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    """Does it in the session that is held, or in a new one."""
    from engine import catalog
    from engine.architecture import Architecture
    from engine.config import SearchConfig
    from engine.data.spec import DataSpec
    from engine.evaluation.base import Origin, Work

    config = SearchConfig.parse(job["config"])
    data = DataSpec.model_validate(job["data_spec"])
    evaluator = catalog.get("evaluator", config.evaluator.name)(config.options("evaluator"))
    choices, origin = job["architecture"], job["origin"]
    work = Work(
        kind=job["kind"],
        architecture=None if choices is None else Architecture.of(config.space.name, choices),
        fidelity=job["fidelity"],
        max_fidelity=job["max_fidelity"],
        seed=job["seed"],
        replicate=job["replicate"],
        folder=Path(job["folder"]),
        checkpoint=Path(job["checkpoint"]) if job["checkpoint"] else None,
        origin=None
        if origin is None
        else Origin(
            origin["how"],
            Architecture.of(config.space.name, origin["architecture"]),
            Path(origin["checkpoint"]) if origin["checkpoint"] else None,
        ),
        trial=job["trial"],
        extra=job["extra"],
    )
    if "session" not in held:
        held["session"] = evaluator.open(config, data)
    session = held["session"]
    report = session.evaluate(work, pipe.send, pipe.should_stop)
    bundle = None
    if work.kind == "final" and report.failure is None:
        bundle = _bundle(pipe, job, config, data, work, report)
    return {"kind": "report", "report": report.to_json(), "bundle": bundle}


def _bundle(pipe: Pipe, job: Mapping[str, Any], config: Any, data: Any, work: Any, report: Any) -> dict[str, Any]:
    """Writes and checks the bundle; an export that fails costs the download, not the training."""
    from engine.evaluation.base import Report
    from engine.export.bundle import write_bundle
    from engine.spaces.base import make_space

    space = make_space(config, data)
    quick = job.get("quick")
    began = time.monotonic()
    try:
        return write_bundle(
            folder=work.folder,
            config=config,
            data=data,
            architecture=work.architecture,
            plan=space.plan(work.architecture),
            weights_path=Path(report.artifacts["weights"]),
            report=Report(**quick) if quick else None,
            final_report=report,
            space=space,
            emit=pipe.send,
            trial=work.trial,
        ).to_json()
    except Exception as e:
        pipe.send({"kind": "log", "what": "export", "message": traceback.format_exc()})
        reason = f"the export failed: {type(e).__name__}: {e}"
        seconds = time.monotonic() - began
        return {"path": None, "checks": [], "ok": False, "reason": reason, "sizes": {}, "duration_s": seconds}


def _told(error: BaseException) -> dict[str, Any]:
    """The last message of a child that did not come to a report."""
    from engine.errors import CannotBuild, Interrupted

    text = traceback.format_exc()
    if isinstance(error, Interrupted):
        return {"kind": "interrupted", "reason": error.reason}
    message = f"{type(error).__name__}: {error}"
    typed = None
    if isinstance(error, CannotBuild):
        typed, message = "cannot_build", str(error)
    elif isinstance(error, MemoryError):
        typed, message = "out_of_memory", message
    elif isinstance(error, OSError) and error.errno in _FULL:
        typed, message = "disk_full", f"the disk took no more: {error}"
    return {"kind": "error", "failure": typed, "message": message, "traceback": text}


def clean_environment() -> contextlib.AbstractContextManager[None]:
    """While it is open, this process's environment has no secrets: what is started now never sees them."""

    @contextlib.contextmanager
    def without() -> Any:
        kept = {name: os.environ.pop(name) for name in SECRETS if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(kept)

    return without()
