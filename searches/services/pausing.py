"""Pausing and resuming, as a step inside a transaction."""

from __future__ import annotations

from engine.log import Edit
from searches.models import Job, Search, Trial
from searches.services import states
from searches.services.enqueue import job_enqueue
from searches.services.events import TRIAL_FIELDS
from searches.services.supernets import PIECES
from searches.services.writing import Write


def pause(write: Write, reason: str) -> None:
    """Nothing new is claimed from now on; running children are asked to checkpoint and hand back."""
    jobs = Job.objects.filter(search_id=write.search.pk, kind__in=(Job.Kind.TRAIN, *PIECES))
    states.clock_stop(write)
    write.set(state=Search.State.PAUSED, reason=reason)
    jobs.filter(state=Job.State.WAITING).update(state=Job.State.HELD, enqueued_at=None)
    jobs.filter(state=Job.State.RUNNING).update(order="pause")
    write.entry(Edit("pause").to_json())
    write.line("search", reason)


def resume(write: Write, reason: str) -> None:
    """Held jobs wait for workers again, trials with them."""
    jobs = Job.objects.filter(search_id=write.search.pk, kind__in=(Job.Kind.TRAIN, *PIECES))
    write.set(state=Search.State.RUNNING if write.search.started_at else Search.State.QUEUED, reason="")
    # what the conductor said last was said while it was paused
    write.set(waiting=[w for w in write.search.waiting if w["what"] != "the search"])
    if write.search.started_at:
        states.clock_start(write)
    jobs.filter(state=Job.State.RUNNING, order="pause").update(order="")
    held = list(jobs.filter(state=Job.State.HELD).values_list("id", "claim", "trial_id"))
    for job_id, claim, _ in held:
        job_enqueue(job_id=job_id, claim=claim)
    jobs.filter(state=Job.State.HELD).update(state=Job.State.WAITING, enqueued_at=write.now)
    trials = Trial.objects.filter(pk__in=[t for _, _, t in held], state=Trial.State.PAUSED).only(*TRIAL_FIELDS)
    for trial in trials:
        states.trial_set(write, trial, state=Trial.State.WAITING, reason="")
    write.entry(Edit("resume").to_json())
    write.line("search", reason)
