"""How searches and trials move from state to state: the pieces that several services share.

Everything here runs inside `writing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import Q

from searches.models import Artifact, Claim, Job, Search, Snapshot, Trial
from searches.services import finals
from searches.services.enqueue import job_enqueue
from searches.services.events import TRIAL_FIELDS
from searches.services.snapshots import snapshots_delete
from searches.services.writing import Rejected, Write


def trial_of(write: Write, **where: Any) -> Trial:
    """A trial with the fields its event needs."""
    return Trial.objects.only(*TRIAL_FIELDS).get(search_id=write.search.pk, **where)


def trial_set(write: Write, trial: Trial, **fields: Any) -> None:
    """Changes a trial, keeps the counters, announces it."""
    if "state" in fields:
        write.moved(trial.state, fields["state"])
    for name, value in fields.items():
        setattr(trial, name, value)
    trial.save(update_fields=list(fields))
    write.trial(trial)


def fenced(job_id: int, claim: int, **fields: Any) -> None:
    """Updates a running job if the claim still holds.

    Raises:
        Rejected: it does not.
    """
    held = Job.objects.filter(pk=job_id, claim=claim, state=Job.State.RUNNING)
    if not held.update(**(fields or {"claim": claim})):
        raise Rejected


def claim_end(write: Write, job_id: int, number: int, outcome: str) -> None:
    """Closes the stretch of a job on its worker."""
    Claim.objects.filter(job_id=job_id, number=number, ended_at=None).update(ended_at=write.now, outcome=outcome)


def clock_stop(write: Write) -> None:
    """The search does not run any more (or waits): adds the running stretch to its running time."""
    since = write.search.running_since
    if since is not None:
        ran = max(0.0, (write.now - since).total_seconds())
        write.set(ran_s=write.search.ran_s + ran, running_since=None)


def clock_start(write: Write) -> None:
    """The search runs from now on."""
    if write.search.running_since is None:
        write.set(running_since=write.now)


def jobs_cancel(write: Write, jobs: Iterable[Job], reason: str) -> None:
    """Cancels open jobs; their children learn it from their next heartbeat, their writes are rejected from now on."""
    ids = [job.pk for job in jobs]
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        Job.objects.filter(pk__in=some).update(
            state=Job.State.CANCELLED, ended_at=write.now, lease_until=None, order="", reason=reason
        )
        Claim.objects.filter(job_id__in=some, ended_at=None).update(ended_at=write.now, outcome=Claim.Outcome.CANCELLED)


def job_new(write: Write, **fields: Any) -> Job:
    """Makes a job and sends its message (or holds it while the search is paused)."""
    held = write.search.state == Search.State.PAUSED
    job = Job.objects.create(
        search_id=write.search.pk,
        state=Job.State.HELD if held else Job.State.WAITING,
        enqueued_at=None if held else write.now,
        **fields,
    )
    if not held:
        job_enqueue(job_id=job.pk, claim=job.claim)
    return job


def of_trial(trial: Trial) -> Q:
    """Condition on artifacts: those of a trial."""
    return Q(trial_id=trial.pk)


def checkpoints_delete(write: Write, where: Q) -> None:
    """Forgets checkpoints and deletes their files after the commit."""
    rows = list(
        Artifact.objects.filter(where, search_id=write.search.pk, kind=Artifact.Kind.CHECKPOINT).values_list(
            "id", "name", "bytes"
        )
    )
    if not rows:
        return
    Artifact.objects.filter(pk__in=[r[0] for r in rows]).delete()
    write.add_bytes(-sum(r[2] for r in rows))
    for _, name, _ in rows:
        write.after(lambda name=name: default_storage.delete(name))


def search_end(write: Write, state: str, reason: str) -> None:
    """Ends the search: nothing of it waits or runs afterwards, and it never changes its state again.

    Full trainings that people asked for outlive a search that completes; of a stopped or failed one nothing goes on.
    """
    clock_stop(write)
    write.set(state=state, reason=reason, ended_at=write.now, waiting=[])
    open_jobs = Job.objects.filter(search_id=write.search.pk, state__in=Job.OPEN)
    if state == Search.State.COMPLETED:
        kept = list(open_jobs.filter(kind=Job.Kind.FINAL).values_list("trial_id", flat=True))
        open_jobs = open_jobs.exclude(kind=Job.Kind.FINAL)
    else:
        kept = []
    jobs = list(open_jobs.only("id", "kind", "trial_id"))
    jobs_cancel(write, jobs, reason)
    for job in jobs:
        if job.kind == Job.Kind.FINAL:
            finals.final_failed(write=write, job=job, reason=reason)
    trials_end(write, reason)
    checkpoints_delete(write, ~Q(trial_id__in=kept))
    snapshots_delete(write, Snapshot.objects.filter(search_id=write.search.pk))  # nobody decides upon it any more
    write.line("search", f"{state}: {reason}" if reason else str(state))


def trials_end(write: Write, reason: str) -> None:
    """Cancels every trial that has not ended."""
    left = Trial.objects.filter(search_id=write.search.pk).exclude(state__in=Trial.ENDED).only(*TRIAL_FIELDS)
    for trial in left:
        trial_set(write, trial, state=Trial.State.CANCELLED, reason=reason, ended_at=write.now)


def search_settle(write: Write) -> None:
    """Completes a search that has decided and whose winners' full trainings are over."""
    search = write.search
    if search.state != Search.State.FINISHING or not search.decided or not finals.finals_settled(search):
        return
    problem = finals.finals_problem(search)
    search_end(write, Search.State.COMPLETED, f"{search.reason}. {problem}" if problem else search.reason)
