"""The worker's side of a job's child: starts it, listens to it, tells it to stop, sees it die."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.core.files.storage import default_storage

from engine.data.spec import DataSpec
from engine.evaluation.base import Report
from searches import child
from searches.draining import draining
from searches.keptchildren import kept
from searches.models import Job, Search
from searches.retrying import persistently
from searches.scratch import device_lock, settings_folder
from searches.services import finals
from searches.services.checkpoints import checkpoint_fetch, checkpoint_store
from searches.services.inheriting import origin_fetch
from searches.services.jobs import (
    ClaimedJob,
    job_checkpoint,
    job_child_died,
    job_done,
    job_failed,
    job_handed_back,
    job_progress,
)
from searches.services.supernets import PIECES, piece_extra

log = logging.getLogger(__name__)
_context = multiprocessing.get_context("forkserver")
_starting = threading.Lock()
#: how often orders, deadlines and a drain are looked at
TICK_S = 0.2
#: pieces whose child stays for the next one
STAYING = (Job.Kind.SUPERNET, Job.Kind.SCORE)
#: longest traceback or fault report kept
MAX_TEXT = 20_000


class Orders(Protocol):
    """Where the child's orders come from."""

    order: str


def warm_up() -> None:
    """Starts the fork server, which loads torch once, so that the first job need not wait for it."""
    from multiprocessing import forkserver

    with _starting, child.clean_environment():
        _context.set_forkserver_preload(list(child.PRELOAD))
        forkserver.ensure_running()


def start_child(job: dict[str, Any]) -> tuple[ForkServerProcess, Connection]:
    """Forks a child off the fork server; the server is started with the first one, without secrets."""
    ours, theirs = _context.Pipe()
    process = _context.Process(target=child.main, args=(theirs, job), daemon=True)
    with _starting, child.clean_environment():
        _context.set_forkserver_preload(list(child.PRELOAD))
        process.start()
    theirs.close()  # a copy left open here would hide the child's end
    return process, ours


class ChildRun:
    """One claim of a job in a child process.

    Args:
        claimed: the job.
        config: of the search, plain.
        data: spec of its data.
        folder: scratch.
        orders: what the database wants (see `runner.Pulse`).
    """

    def __init__(
        self, claimed: ClaimedJob, config: dict[str, Any], data: DataSpec, folder: Path, orders: Orders
    ) -> None:
        self.claimed, self.job, self.claim = claimed, claimed.job, claimed.claim
        self.config, self.data, self.folder, self.orders = config, data, folder, orders
        self.points: list[dict[str, Any]] = []
        started = f"started on {self.job.worker}, job {self.job.pk}, claim {self.claim}"
        self.lines: list[tuple[str, str]] = [("claim", started)]
        self.progress: dict[str, Any] = {}
        self.last: dict[str, Any] | None = None
        self.conn: Connection | None = None
        self.checkpoint: str | None = None
        self.flushed_at = self.saved_at = self.heard_at = time.monotonic()
        self.stopped: str | None = None
        self.enough = False
        self.kill_at = float("inf")

    # -- the whole of it -------------------------------------------------------------------------
    def run(self) -> None:
        """Runs the child to its end and records what came of it."""
        process, self.conn = self._begin()
        stays = False
        try:
            self._watch(process, self.conn)
            stays = self._stays()
        finally:
            if not stays:
                end(process)
                self.conn.close()
                self.conn = None
        self._record(process)
        if stays and self.conn is not None:
            kept.put(self._supernet(), process, self.conn)

    def _begin(self) -> tuple[ForkServerProcess, Connection]:
        """The child that holds this job's supernet, if one waits on this worker, else a new one."""
        if self.job.kind == Job.Kind.SCORE and (held := kept.take(self._supernet())) is not None:
            process, conn = held
            try:
                conn.send_bytes(json.dumps({"job": self._message(None)}).encode())
                return process, conn
            except OSError:  # it has just left
                end(process)
                conn.close()
        if self.job.kind != Job.Kind.SCORE:
            kept.drop()  # memory is worth more than the second it takes to load a supernet again
        name = self.job.checkpoint
        resume = checkpoint_fetch(name, self.folder / "resume.safetensors") if name else None
        if name and resume is None and self.job.kind != Job.Kind.SCORE:
            self.lines.append(("checkpoint", "its checkpoint is gone: trained again from its seed"))
        origin = origin_fetch(self.job, self.folder) if resume is None else None
        return start_child(self._message(resume, origin))

    def _supernet(self) -> tuple[int, int]:
        """Which supernet a piece trains or scores with: (search, piece)."""
        payload = self.job.payload
        return self.job.search_id, int(payload.get("supernet") or payload.get("piece") or 0)

    def _stays(self) -> bool:
        """Whether the child waits for another job on the supernet that it holds."""
        last = self.last or {}
        done = last.get("kind") == "report" and last["report"]["failure"] is None
        return done and self.stopped is None and self.job.kind in STAYING

    def _message(self, resume: Path | None, origin: dict[str, Any] | None = None) -> dict[str, Any]:
        job, trial, payload = self.job, self.claimed.trial, self.job.payload
        # what the search has recorded counts on every machine; the folder is for trials that start together on this one
        extra: dict[str, Any] = {
            "settings": Search.objects.values_list("settings", flat=True).get(pk=job.search_id),
            "settings_folder": str(settings_folder(job.search_id)),
            "device_lock": str(device_lock()),
        }
        if job.kind == Job.Kind.PREFLIGHT:
            extra |= payload
        elif job.kind in PIECES:
            extra |= piece_extra(job, self.folder)
        return {
            "config": self.config,
            "data_spec": self.data.model_dump(mode="json"),
            "kind": job.kind,
            "architecture": dict(trial.architecture) if trial is not None else None,
            "fidelity": job.fidelity,
            "max_fidelity": int(payload.get("max_fidelity", job.fidelity)),
            "seed": int(payload.get("seed", trial.seed if trial is not None else 0)),
            "replicate": int(payload.get("replicate", 0)),
            "trial": trial.number if trial is not None else 0,
            "folder": str(self.folder),
            "checkpoint": str(resume) if resume else None,
            "origin": origin,
            "extra": extra,
            "quick": payload.get("quick"),
            "stay": job.kind in STAYING,
        }

    # -- while it runs ---------------------------------------------------------------------------
    def _watch(self, process: ForkServerProcess, conn: Connection) -> None:
        limit = float(self.config["training"]["timeout_s"])
        timeout_at = time.monotonic() + limit
        dead = False
        while not dead and self.last is None:
            ready = wait([conn, process.sentinel], timeout=TICK_S)
            dead = process.sentinel in ready
            self._read(conn, drain=dead)
            now = time.monotonic()
            if self.job.kind in PIECES and self.heard_at > timeout_at - limit:
                timeout_at = self.heard_at + limit  # a supernet may take a night, but it says something all the time
            if self.last is None and not dead:
                self._orders(conn, now, timeout_at)
                if now > self.kill_at:
                    log.info("job %s: the child did not stop (%s) and is killed", self.job.pk, self.stopped)
                    break
            self._flush(now)
            if self.checkpoint and self.stopped != "lost" and now - self.saved_at >= settings.CHECKPOINT_S:
                self._save()

    def _read(self, conn: Connection, *, drain: bool) -> None:
        """Takes what the pipe holds (at most some hundred messages at once, so that nothing else starves)."""
        for _ in range(10_000 if drain else 200):
            try:
                if not conn.poll():
                    return
                message = json.loads(conn.recv_bytes())
            except (EOFError, OSError):
                return
            self._take(message)
            if self.last is not None:
                return

    def _take(self, message: dict[str, Any]) -> None:
        self.heard_at = time.monotonic()
        kind = message.pop("kind")
        if kind == "epoch":
            self.points.append(message)
            self.progress |= {k: message[k] for k in ("epoch", "epochs", "samples_per_s") if k in message}
        elif kind == "batch":
            self.progress |= message
        elif kind == "phase":
            self.progress |= {"phase": message["phase"]}
        elif kind == "log":
            self.lines.append((str(message["what"]), str(message["message"])))
        elif kind == "checkpoint":
            self.checkpoint = str(message["path"])
        else:
            self.last = {"kind": kind, **message}

    def _orders(self, conn: Connection, now: float, timeout_at: float) -> None:
        if self.stopped is None:
            order = self.orders.order
            if order == "enough" and not self.enough:  # it goes on to the end of its epoch
                self.enough = True
                with contextlib.suppress(OSError):
                    conn.send_bytes(json.dumps({"stop": order}).encode())
            reason = ("" if order == "enough" else order) or ("drain" if draining.is_set() else "")
            if not reason and now > timeout_at:
                reason = "timeout"
            if reason:
                self.stopped = reason
                self.kill_at = now + settings.GRACE_S
                with contextlib.suppress(OSError):
                    conn.send_bytes(json.dumps({"stop": reason}).encode())
        elif self.orders.order == "lost" and self.stopped != "lost":
            self.stopped = "lost"  # nothing it writes counts any more

    def _flush(self, now: float, *, force: bool = False) -> None:
        """Writes what has come together, a few times a second at most."""
        if self.stopped == "lost":
            return
        due = now - self.flushed_at >= settings.PROGRESS_S
        if (self.points or self.lines or self.progress) and (due or force):
            points, lines, progress = self.points, self.lines, self.progress
            self.points, self.lines, self.progress = [], [], {}
            self.flushed_at = now
            held = persistently(
                lambda: job_progress(job=self.job, claim=self.claim, progress=progress, points=points, lines=lines)
            )
            if not held:
                self.stopped = "lost"
                self.kill_at = min(self.kill_at, now + settings.GRACE_S)

    def _save(self) -> None:
        """Uploads the newest checkpoint and makes it official.

        Only after every epoch that it holds has been written: who resumes from it will not report them again. What was
        uploaded may be newer than what was read so far, but what the child said before it wrote it is in the pipe.
        """
        path, self.checkpoint, self.saved_at = self.checkpoint, None, time.monotonic()
        if path is None:
            return
        stored = checkpoint_store(self.job, self.claim, Path(path))
        if self.conn is not None and self.last is None:
            self._read(self.conn, drain=True)
        self._flush(time.monotonic(), force=True)
        held = persistently(
            lambda: job_checkpoint(
                job=self.job, claim=self.claim, name=stored.name, digest=stored.digest, n_bytes=stored.bytes
            )
        )
        if not held:
            default_storage.delete(stored.name)
            self.stopped = "lost"

    # -- afterwards ------------------------------------------------------------------------------
    def _record(self, process: ForkServerProcess) -> None:
        if self.stopped == "lost" or self.orders.order == "lost":
            log.info("job %s: claim %s was lost; nothing is written", self.job.pk, self.claim)
            return
        try:
            self._answer(process)
        except OSError as e:
            if e.errno not in child._FULL:
                raise
            reason = f"the disk took no more: {e}"
            persistently(lambda: job_failed(job=self.job, claim=self.claim, kind="disk_full", message=reason))

    def _answer(self, process: ForkServerProcess) -> None:
        last, job, claim = self.last, self.job, self.claim
        if last is not None and last["kind"] == "report":
            self._reported(last)
            return
        self._flush(time.monotonic(), force=True)
        if self.stopped == "timeout":
            seconds = float(self.config["training"]["timeout_s"])
            message = f"ended as hung: it trained longer than {seconds:g} s (training.timeout_s)"
            persistently(lambda: job_failed(job=job, claim=claim, kind="timed_out", message=message))
        elif self.stopped == "cancel":
            message = "nobody asks for it any more"
            persistently(lambda: job_failed(job=job, claim=claim, kind="cancelled", message=message))
        elif self.stopped is not None and (last is None or last["kind"] == "interrupted"):
            self._save()
            persistently(lambda: job_handed_back(job=job, claim=claim, reason=str(self.stopped)))
        elif last is not None and last["kind"] == "error" and last["failure"]:
            persistently(
                lambda: job_failed(
                    job=job, claim=claim, kind=last["failure"], message=last["message"], traceback=last["traceback"]
                )
            )
        else:
            reason, text = self._death(process)
            persistently(lambda: job_child_died(job=job, claim=claim, reason=reason, traceback=text[-MAX_TEXT:]))

    def _death(self, process: ForkServerProcess) -> tuple[str, str]:
        """Why there is no report: what the child said, or what killed it."""
        if self.last is not None:
            return str(self.last.get("message", "")), str(self.last.get("traceback", ""))
        fault = self.folder / "fault.txt"
        text = fault.read_text(errors="replace") if fault.exists() else ""
        code = process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
            return f"its process was ended by {name}{hint}", text
        return f"its process ended with exit code {code} and said nothing", text

    def _reported(self, last: dict[str, Any]) -> None:
        report = Report.from_json(last["report"])
        self._flush(time.monotonic(), force=True)
        job, bundle = self.job, last.get("bundle")
        stored: list[finals.Stored] = []
        if report.failure is None and job.kind == Job.Kind.FINAL:
            stored = finals.final_store(report=report, bundle=bundle)
        elif report.failure is None and job.kind == Job.Kind.SUPERNET:
            self.checkpoint = report.artifacts["supernet"]
            self._save()  # its subnets are scored with it, also on other workers
        elif report.failure is None and (
            job.payload.get("keep") or job.fidelity < int(job.payload.get("max_fidelity", job.fidelity))
        ):
            self.checkpoint = report.artifacts.get("checkpoint") or self.checkpoint
            self._save()  # the next rung starts from it, or another trial
        persistently(lambda: job_done(job=job, claim=self.claim, report=report, bundle=bundle, stored=stored))


def end(process: ForkServerProcess) -> None:
    """Nothing of the child is left when this returns: neither itself nor what it has started."""
    pid = process.pid
    if process.is_alive() and process.exitcode is None:
        process.join(timeout=0.2)  # it has said its last word and is about to leave
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    if process.is_alive():
        process.kill()
    process.join(timeout=5)
