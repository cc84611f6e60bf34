"""A larger budget: for a live search an edit in its log, for an ended one a new search that goes on where it ended.

The continued search gets a copy of the log in which the extension stands *before* the entry that ended the old one.
Everything up to there leads to the same trials, so nothing is trained again; what was under way when the old search
ended is trained anew from its seed.

A long history is copied in many short transactions into a draft that nobody sees; one last transaction queues it. What
a crash leaves behind is such a draft, deleted by the reaper (`sweeping.copies_sweep`).
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from engine.config import SearchConfig
from engine.log import Edit
from searches.models import Artifact, Job, LogEntry, Point, Search, Trial
from searches.services.enqueue import job_enqueue
from searches.services.inheriting import train_payload
from searches.services.supernets import pieces_copy
from searches.services.writing import Rejected, Write, writing

_ENDING_EDITS = ("finish", "deadline", "cancel")
#: marks a draft that is still being copied: nobody's search, shown in no list
COPYING = "extending:"
#: log entries, and trials with their curves, written in one transaction
_CHUNK = 500
_TRIALS = 200
#: files of a full training that the continued search takes over
_KEPT = (Artifact.Kind.WEIGHTS, Artifact.Kind.BUNDLE)


def search_extend(*, search: Search, by: Any, trials: int | None = None, minutes: float | None = None) -> Search:
    """Adds trials or minutes to the budget.

    Returns:
        The same search where it is live, else a new one linked to it, already queued.

    Raises:
        Rejected: nothing to add, or the search cannot go on.
    """
    if not trials and not minutes:
        raise Rejected("Say how many more trials, or how many more minutes.")
    with writing(search.pk) as write:
        state = write.search.state
        if state == Search.State.DRAFT:
            raise Rejected("It has not been started; edit it instead.")
        if state in (Search.State.QUEUED, Search.State.RUNNING, Search.State.PAUSED) and not write.search.decided:
            row = Search.objects.only("extra_trials", "extra_minutes").get(pk=search.pk)
            write.set(extra_trials=row.extra_trials + (trials or 0), extra_minutes=row.extra_minutes + (minutes or 0.0))
            if trials:
                write.entry(Edit("extend", {"trials": int(trials)}).to_json())
            write.line("search", f"{_words(trials, minutes)} added by {by}")
            return search
        if state == Search.State.FINISHING:
            raise Rejected("Its search phase is over and the winner is being trained; extend it when that is done.")
    return _continued(Search.objects.get(pk=search.pk), by, trials, minutes)


def _words(trials: int | None, minutes: float | None) -> str:
    parts = [f"{trials:,} trials"] if trials else []
    return " and ".join([*parts, f"{minutes:g} minutes"] if minutes else parts)


def _continued(old: Search, by: Any, trials: int | None, minutes: float | None) -> Search:
    """The new search: copies of the log, the trials and their curves, then the extension."""
    config = SearchConfig.parse(old.config)
    allowed = config.budget.minutes
    if allowed is not None and not minutes and old.ran_s >= 60 * (allowed + old.extra_minutes):
        raise Rejected("Its time is up: say how many more minutes, too.")
    log = list(LogEntry.objects.filter(search_id=old.pk).order_by("number").values_list("kind", "payload"))
    if old.decided:
        log = log[: old.cursor]  # the last of them ended it
    before, rest = _split([payload for _, payload in log], old.cursor, old.decided)
    new = Search.objects.create(
        owner_id=old.owner_id,
        name=f"{old.name} (extended)"[:200],
        config=old.config,
        data_spec=old.data_spec,
        space_version_id=old.space_version_id,
        submit_token=f"{COPYING}{uuid.uuid4().hex}",
        settings=old.settings,
        ran_s=old.ran_s,
        extra_trials=old.extra_trials + (trials or 0),
        extra_minutes=old.extra_minutes + (minutes or 0.0),
        n_entries=before,
        cursor=before,
    )
    for start in range(0, before, _CHUNK):
        LogEntry.objects.bulk_create(
            LogEntry(search_id=new.pk, number=number, kind=kind, payload=payload)
            for number, (kind, payload) in enumerate(log[start : min(start + _CHUNK, before)], start=start + 1)
        )
    copied = _copy_trials(old, new, _Fates.read([payload for _, payload in log]))
    pieces = pieces_copy(old, new)
    with writing(new.pk) as write:
        if not Search.objects.filter(pk=old.pk).exists():
            raise Rejected("It was deleted while it was being copied.")
        write.set(state=Search.State.QUEUED, submit_token=None, origin_id=old.pk, relation=Search.Relation.EXTENDED)
        for state, n in copied.states.items():
            write.moved(None, state, n)
        write.add_bytes(copied.bytes)
        _jobs_new(write, config, copied.waiting)
        for job in pieces:
            job_enqueue(job_id=job.pk, claim=job.claim)
        for payload in _opening([p for _, p in log[:before]], trials):
            write.entry(payload)
        for payload in rest:
            write.entry(payload)
        write.line("search", f"goes on where search {old.pk} ended: {_words(trials, minutes)} added by {by}")
    new.refresh_from_db()
    return new


def _split(log: list[Any], cursor: int, decided: bool) -> tuple[int, list[Any]]:
    """How many entries the continued search shares, and what of the others still counts."""
    ended = [i for i, p in enumerate(log) if p["kind"] == "edit" and p["edit"] in _ENDING_EDITS]
    last = ended[0] if ended else cursor - 1 if decided else cursor
    before = max(0, min(last, cursor))
    return before, [p for p in log[before:] if not (p["kind"] == "edit" and p["edit"] in _ENDING_EDITS)]


def _opening(shared: list[Any], trials: int | None) -> list[Any]:
    """The edits that make the difference: more trials, and no pause left over."""
    edits = [Edit("extend", {"trials": int(trials)})] if trials else []
    pauses = [p["edit"] for p in shared if p["kind"] == "edit" and p["edit"] in ("pause", "resume")]
    if pauses and pauses[-1] == "pause":
        edits.append(Edit("resume"))
    return [edit.to_json() for edit in edits]


@dataclass
class _Fates:
    """What a log says of its trials.

    Attributes:
        told: the highest fidelity a result was told at, by trial.
        thrown: trials that a person cancelled.
    """

    told: dict[int, int] = field(default_factory=dict)
    thrown: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, log: list[Any]) -> _Fates:
        fates = cls()
        for payload in log:
            if payload["kind"] == "result":
                fates.told[payload["trial"]] = max(payload["fidelity"], fates.told.get(payload["trial"], 0))
            elif payload["kind"] == "edit" and payload["edit"] == "cancel_trial":
                fates.thrown.add(payload["payload"]["trial"])
        return fates


@dataclass
class _Copied:
    """What the copies add up to: trials by state, those that need a job, bytes of the files taken over."""

    states: Counter[str] = field(default_factory=Counter)
    waiting: list[Trial] = field(default_factory=list)
    bytes: int = 0


def _copy_trials(old: Search, new: Search, fates: _Fates) -> _Copied:
    """Copies trials with their curves and full trainings, some at a time; each time one short transaction."""
    copied, last = _Copied(), 0
    while rows := list(Trial.objects.filter(search_id=old.pk, number__gt=last).order_by("number")[:_TRIALS]):
        last = rows[-1].number
        before = {trial.pk: trial for trial in rows}
        # a full training is not repeated: the sealed test split was opened for this trial once already
        trained = {pk for pk, trial in before.items() if trial.final_state == Trial.FinalState.DONE}
        points = [
            p for p in Point.objects.filter(trial_id__in=before).order_by("id") if not p.final or p.trial_id in trained
        ]
        kept = list(Artifact.objects.filter(trial_id__in=trained, kind__in=_KEPT))
        for pk, trial in before.items():
            _renew(trial, new, fates, trained=pk in trained)
        with transaction.atomic():
            Trial.objects.bulk_create(rows)
            for point in points:
                point.pk, point.trial_id = None, before[point.trial_id].pk
            Point.objects.bulk_create(points)
            for artifact in kept:  # another row for the same file; `search_delete` leaves files that a row still names
                assert artifact.trial_id is not None
                artifact.pk, artifact.search_id = None, new.pk
                artifact.trial_id = before[artifact.trial_id].pk
            Artifact.objects.bulk_create(kept)
        copied.states.update(trial.state for trial in rows)
        copied.bytes += sum(artifact.bytes for artifact in kept)
        copied.waiting += [trial for trial in rows if trial.state == Trial.State.WAITING]
    return copied


def _renew(trial: Trial, new: Search, fates: _Fates, *, trained: bool) -> None:
    """Trials keep what they have; those that the end of the old search cut off wait again, or go on from their seed."""
    trial.pk, trial.search_id, trial.on_front = None, new.pk, False
    if not trained:
        trial.final_state, trial.final_reason, trial.final, trial.final_correct = "", "", {}, None
        trial.bundle_checks = []
    if trial.state == Trial.State.CANCELLED and trial.number not in fates.thrown:
        rested = fates.told.get(trial.number, 0) >= trial.target_epochs
        trial.state = Trial.State.PAUSED if rested else Trial.State.WAITING
        trial.reason, trial.ended_at = "", None


def _jobs_new(write: Write, config: SearchConfig, waiting: list[Trial]) -> None:
    """Jobs of the trials that wait, with their messages."""
    jobs = Job.objects.bulk_create(
        Job(
            search_id=write.search.pk,
            trial=trial,
            kind=Job.Kind.TRAIN,
            fidelity=trial.target_epochs,
            payload=train_payload(config, trial.proposal),
            enqueued_at=write.now,
        )
        for trial in waiting
    )
    for job in jobs:
        job_enqueue(job_id=job.pk, claim=job.claim)
