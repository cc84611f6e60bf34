"""Runs one job on a worker: claims it, spawns its child, keeps its lease, passes on what it says, and its answer.

One thread of the worker per job. The child can crash, hang or be killed: this side sees it, records it and goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection
from django.db.utils import InterfaceError, OperationalError

from engine import catalog
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.errors import EngineError
from engine.evaluation.base import Evaluator, Report, Session, Work
from searches.childwatch import ChildRun
from searches.models import Job, Search
from searches.retrying import persistently
from searches.scratch import scratch
from searches.services.jobs import (
    ClaimedJob,
    job_child_died,
    job_claim,
    job_done,
    job_failed,
    job_heartbeat,
)

log = logging.getLogger(__name__)


def run_job(job_id: int, claim: int, *, worker: str) -> None:
    """Claims and runs a job; a job that is not to be had (any more) is nobody's problem.

    Args:
        job_id, claim: from the message.
        worker: this worker's name.
    """
    from searches.draining import draining

    if draining.is_set():
        return  # the message is spent, but the reaper counts messages
    close_old_connections()
    claimed = persistently(lambda: job_claim(job_id=job_id, claim=claim, worker=worker))
    if claimed is None:
        return
    try:
        # inside: a plug-in or data that this worker lacks is a failure to record, not a lease to wait for
        setup = _setup(claimed.job.search_id, claimed.search_made)
        if setup.evaluator.inline:
            _run_inline(claimed, setup)
        else:
            _run_child(claimed, setup)
    except (OperationalError, InterfaceError):
        # the database has been away for longer than anybody waits: the lease ends, another claim follows
        log.exception("job %s: the database is away, giving up", job_id)
    except EngineError as e:
        log.warning("job %s: %s", job_id, e)
        job_child_died(job=claimed.job, claim=claimed.claim, reason=str(e), traceback=_trace(e))
    except Exception as e:  # an error of ours must not leave the job running until its lease ends
        log.exception("job %s failed on this side of the pipe", job_id)
        reason = f"{type(e).__name__}: {e}"
        job_child_died(job=claimed.job, claim=claimed.claim, reason=reason, traceback=_trace(e))


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


class Setup:
    """What all jobs of a search share on this worker."""

    def __init__(self, search: Search) -> None:
        self.config = SearchConfig.parse(search.config)
        self.plain = self.config.to_json()
        from searches.services.conductors import data_spec

        self.data = DataSpec.model_validate(search.data_spec) if search.data_spec else data_spec(self.config)
        cls = catalog.get("evaluator", self.config.evaluator.name)
        self.evaluator: Evaluator = cls(self.config.options("evaluator"))
        self._session: Session | None = None
        self._lock = threading.Lock()

    def session(self) -> Session:
        """The session of an evaluator that needs no child; opened once."""
        with self._lock:
            if self._session is None:
                self._session = self.evaluator.open(self.config, self.data)
            return self._session


@lru_cache(maxsize=32)
def _setup(search_id: int, made: Any) -> Setup:
    """Kept by number and creation time: a config never changes once the search was started, nor a preflight's."""
    return Setup(Search.objects.only("config", "data_spec").get(pk=search_id))


def architecture_of(claimed: ClaimedJob, config: SearchConfig) -> dict[str, Any] | None:
    """The choices of the job's trial, None for a job without one."""
    if claimed.trial is not None:
        return dict(claimed.trial.architecture)
    return None


def _run_inline(claimed: ClaimedJob, setup: Setup) -> None:
    """Answers in this thread: tables and closed formulas need no process."""
    job, trial = claimed.job, claimed.trial
    choices = architecture_of(claimed, setup.config)
    work = Work(
        kind="train",
        architecture=None if choices is None else Architecture.of(setup.config.space.name, choices),
        fidelity=job.fidelity,
        max_fidelity=int(job.payload.get("max_fidelity", job.fidelity)),
        seed=trial.seed if trial else 0,
        folder=settings.DATA_DIR / "work",
        replicate=int(job.payload.get("replicate", 0)),
        trial=trial.number if trial else 0,
    )
    points: list[dict[str, Any]] = []
    try:
        report = setup.session().evaluate(work, points.append, lambda: None)
    except EngineError as e:
        kind = "cannot_build" if type(e).__name__ == "CannotBuild" else "crashed"
        report = Report.failed(kind, str(e), _trace(e), fidelity=job.fidelity)
    persistently(lambda: job_done(job=job, claim=claimed.claim, report=report))


def _run_child(claimed: ClaimedJob, setup: Setup) -> None:
    """Runs it in a child process; the scratch folder goes with it."""
    with scratch(claimed.job.pk, claimed.claim) as folder:
        pulse = Pulse(claimed.job, claimed.claim)
        try:
            ChildRun(claimed, setup.plain, setup.data, folder, pulse).run()
        finally:
            pulse.stop()


class Pulse:
    """The lease of one job, kept by a thread of its own; and what the database wants of the child.

    Attributes:
        order: "" for nothing, "pause", "cancel", or "lost" once the claim does not hold any more.
    """

    def __init__(self, job: Job, claim: int) -> None:
        self._job, self._claim = job, claim
        self.order = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{job.pk}", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        good = time.monotonic()
        try:
            while not self._over.wait(settings.HEARTBEAT_S):
                try:
                    self.order = job_heartbeat(job_id=self._job.pk, claim=self._claim)
                    good = time.monotonic()
                except (OperationalError, InterfaceError) as e:
                    log.warning("job %s: no heartbeat: %s", self._job.pk, e)
                    connection.close()
                    if time.monotonic() - good > settings.LEASE_S:
                        self.order = "lost"
                if self.order == "lost":
                    return
        finally:
            connection.close()

    def stop(self) -> None:
        """No more heartbeats."""
        self._over.set()
        self._thread.join(timeout=5)


__all__ = ["Pulse", "Setup", "job_failed", "run_job"]
