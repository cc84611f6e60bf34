"""What happens to a job: claimed, alive, progressing, done, failed, handed back. Every write is fenced by the claim.

A function that is told a claim which does not hold any more changes nothing and says so; nobody raises for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from engine.evaluation.base import Report
from searches.models import Artifact, Claim, Job, Search, Trial
from searches.services import finals, states
from searches.services.enqueue import job_enqueue
from searches.services.jsonable import jsonable
from searches.services.outcomes import job_told, pause_for_disk
from searches.services.points import points_add
from searches.services.supernets import PIECES, epochs_add
from searches.services.writing import Rejected, Write, writing

#: deaths and errors of a job's own child until its trial is set aside
MAX_FAILURES = 2
#: workers lost with a job until it is believed to be what kills them
MAX_LOSSES = 5


@dataclass(frozen=True)
class ClaimedJob:
    """A job in the hands of a worker.

    Attributes:
        job: its row, as claimed.
        trial: its trial's row where it has one.
        claim: the number that fences every write.
        search_made: when its search was made; with the search's number the identity of what can be cached of it.
    """

    job: Job
    trial: Trial | None
    claim: int
    search_made: datetime


def _lease() -> Any:
    return Now() + timedelta(seconds=settings.LEASE_S)


def job_claim(*, job_id: int, claim: int, worker: str) -> ClaimedJob | None:
    """Takes a waiting job whose last claim was number `claim`; None if it is not to be had (any more)."""
    waiting = Job.objects.filter(pk=job_id, claim=claim, state=Job.State.WAITING)
    row = waiting.order_by().values_list("search_id", "search__created_at").first()
    if row is None:
        return None
    search_id, search_made = row
    try:
        with writing(search_id) as write:
            taken = waiting.update(
                state=Job.State.RUNNING,
                claim=claim + 1,
                lease_until=_lease(),
                worker=worker,
                order="",
                progress={},
                started_at=Coalesce("started_at", Now()),
            )
            if not taken:
                raise Rejected
            rows = Job.objects.select_related("trial").defer("result", "trial__correct", "trial__final_correct")
            job = rows.get(pk=job_id)
            Claim.objects.create(
                job_id=job_id, search_id=search_id, number=job.claim, worker=worker, started_at=write.now
            )
            trial = job.trial
            if trial is not None and job.kind == Job.Kind.TRAIN:
                started = trial.started_at or write.now
                states.trial_set(write, trial, state=Trial.State.RUNNING, worker=worker, started_at=started, reason="")
            elif job.kind == Job.Kind.FINAL:
                finals.final_started(write=write, job=job)
            return ClaimedJob(job, trial, job.claim, search_made)
    except (Rejected, Search.DoesNotExist):
        return None


def job_heartbeat(*, job_id: int, claim: int) -> str:
    """Prolongs the lease. Answers what the child is asked to do ("pause"), "lost", or "" for nothing."""
    held = Job.objects.filter(pk=job_id, claim=claim, state=Job.State.RUNNING)
    if not held.update(lease_until=_lease()):
        return "lost"
    return held.values_list("order", flat=True).first() or ""


def job_progress(
    *,
    job: Job,
    claim: int,
    progress: Mapping[str, Any] | None = None,
    points: Sequence[Mapping[str, Any]] = (),
    lines: Sequence[tuple[str, str]] = (),
) -> bool:
    """Records how far the child is: where it stands, finished epochs, log lines (`(what, message)`).

    Epochs that another claim has already reported change nothing. False if the claim does not hold any more.
    """
    try:
        with writing(job.search_id) as write:
            now = {**(job.progress or {}), **jsonable(progress or {})}
            states.fenced(job.pk, claim, progress=now)
            job.progress = now
            trial = states.trial_of(write, pk=job.trial_id) if job.trial_id else None
            if trial is not None and points:
                epoch = points_add(write, job, trial, points)
                if job.kind == Job.Kind.TRAIN and epoch > trial.epochs:
                    states.trial_set(write, trial, epochs=epoch)
            elif job.kind == Job.Kind.SUPERNET and points:
                epochs_add(write, job, points)
            for what, message in lines:
                write.line(what, message, trial)
            if progress:
                number = trial.number if trial else None
                write.event("progress", {"trial": number, "job": job.pk, "kind": job.kind, "worker": job.worker, **now})
    except (Rejected, Search.DoesNotExist):
        return False
    return True


def job_checkpoint(*, job: Job, claim: int, name: str, digest: str, n_bytes: int) -> bool:
    """Makes an uploaded checkpoint the official one; the one before it is deleted. False if the claim was lost."""
    try:
        with writing(job.search_id) as write:
            before = job.checkpoint
            states.fenced(job.pk, claim, checkpoint=name)
            job.checkpoint = name
            Artifact.objects.create(
                search_id=job.search_id,
                trial_id=job.trial_id,
                kind=Artifact.Kind.CHECKPOINT,
                name=name,
                digest=digest,
                bytes=n_bytes,
            )
            write.add_bytes(n_bytes)
            if before and before != name:
                states.checkpoints_delete(write, Q(name=before))
    except (Rejected, Search.DoesNotExist):
        return False
    return True


def job_done(
    *,
    job: Job,
    claim: int,
    report: Report,
    bundle: Mapping[str, Any] | None = None,
    stored: Sequence[finals.Stored] = (),
) -> bool:
    """Records what the child found (a result, or a failure of the architecture itself). False if the claim was lost.

    Args:
        job: as claimed.
        claim: its number.
        report: the child's.
        bundle: `BundleResult.to_json()` of a full training.
        stored: its files, already in the storage.
    """
    try:
        with writing(job.search_id) as write:
            failure = report.failure
            if failure is not None and failure.kind == "disk_full" and job.kind in PIECES:
                # a trial is given up, but without this piece nothing goes on: it waits until there is room
                pause_for_disk(write, failure.message)
                _wait_again(write, job, claim, Claim.Outcome.HANDED_BACK)
            else:
                job_told(write, job, claim, report, bundle=bundle, stored=stored)
    except (Rejected, Search.DoesNotExist):
        return False
    return True


def job_failed(*, job: Job, claim: int, kind: str, message: str, traceback: str = "") -> bool:
    """Records a typed failure that must not be tried again unchanged. False if the claim was lost."""
    return job_done(job=job, claim=claim, report=Report.failed(kind, message, traceback, fidelity=job.fidelity))


def job_handed_back(*, job: Job, claim: int, reason: str) -> bool:
    """A child stopped because it was asked to ("pause", "drain"): the job waits again, and nobody is blamed."""
    try:
        with writing(job.search_id) as write:
            _wait_again(write, job, claim, Claim.Outcome.HANDED_BACK)
            trial = states.trial_of(write, pk=job.trial_id) if job.trial_id else None
            write.line("claim", f"handed back by {job.worker}: {reason}", trial)
    except (Rejected, Search.DoesNotExist):
        return False
    return True


def _wait_again(write: Write, job: Job, claim: int, outcome: str, **fields: Any) -> None:
    """running -> waiting (or held, where the search is paused), with a message for the next claim."""
    held = write.search.state == Search.State.PAUSED and job.kind in (Job.Kind.TRAIN, *PIECES)
    states.fenced(
        job.pk,
        claim,
        state=Job.State.HELD if held else Job.State.WAITING,
        lease_until=None,
        order="",
        enqueued_at=None if held else write.now,
        **fields,
    )
    states.claim_end(write, job.pk, claim, outcome)
    if not held:
        job_enqueue(job_id=job.pk, claim=claim)
    if job.trial_id:
        trial = states.trial_of(write, pk=job.trial_id)
        if job.kind == Job.Kind.FINAL:
            states.trial_set(write, trial, final_state=Trial.FinalState.WAITING)
        elif held:
            states.trial_set(write, trial, state=Trial.State.PAUSED, reason="paused by a person")
        else:
            states.trial_set(write, trial, state=Trial.State.WAITING)


def job_lost(*, job_id: int, claim: int, search_id: int) -> bool:
    """The worker let its lease run out: another one may take the job, up to `MAX_LOSSES` times."""
    try:
        with writing(search_id) as write:
            expired = Job.objects.filter(pk=job_id, claim=claim, state=Job.State.RUNNING, lease_until__lt=Now()).defer(
                "result"
            )
            job = expired.first()
            if job is None:
                raise Rejected
            losses = job.losses + 1
            trial = states.trial_of(write, pk=job.trial_id) if job.trial_id else None
            write.line("claim", f"{job.worker} was lost ({losses} of {MAX_LOSSES})", trial)
            if losses < MAX_LOSSES:
                _wait_again(write, job, claim, Claim.Outcome.LOST, losses=losses)
            else:
                message = f"{losses} workers were lost while they ran it; it is believed to be the cause"
                Job.objects.filter(pk=job_id).update(losses=losses)
                report = Report.failed("worker_lost", message, fidelity=job.fidelity)
                job_told(write, job, claim, report, outcome=Claim.Outcome.LOST)
    except (Rejected, Search.DoesNotExist):
        return False
    return True


def job_child_died(*, job: Job, claim: int, reason: str, traceback: str = "") -> bool:
    """The job's child died or raised, and nobody had asked for it: tried once more, then set aside."""
    try:
        with writing(job.search_id) as write:
            failures = job.failures + 1
            trial = states.trial_of(write, pk=job.trial_id) if job.trial_id else None
            write.line("crash", f"{reason} (failure {failures} of {MAX_FAILURES})\n{traceback}".rstrip(), trial)
            if failures < MAX_FAILURES:
                _wait_again(
                    write, job, claim, Claim.Outcome.FAILED, failures=failures, reason=reason, traceback=traceback
                )
            else:
                states.fenced(job.pk, claim, failures=failures)
                report = Report.failed("crashed", reason, traceback, fidelity=job.fidelity)
                job_told(write, job, claim, report)
    except (Rejected, Search.DoesNotExist):
        return False
    return True
