"""A larger budget: for a live search an edit in its log, for an ended one a new search that goes on where it ended.

The continued search gets a copy of the log in which the extension stands *before* the entry that ended the old one.
Everything up to there leads to the same trials, so nothing is trained again; what was under way when the old search
ended is trained anew from its seed.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from engine.config import SearchConfig
from engine.log import Edit
from searches.models import Artifact, Job, LogEntry, Point, Search, Trial
from searches.services import states
from searches.services.writing import Rejected, Write, writing

_ENDING_EDITS = ("finish", "deadline", "cancel")
_CHUNK = 500
#: files of a full training that the continued search takes over
_KEPT = (Artifact.Kind.WEIGHTS, Artifact.Kind.BUNDLE)


def search_extend(
    *, search: Search, by: Any, trials: int | None = None, minutes: float | None = None
) -> Search:
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
            write.set(
                extra_trials=row.extra_trials + (trials or 0), extra_minutes=row.extra_minutes + (minutes or 0.0)
            )
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
    with transaction.atomic():
        new = Search.objects.create(
            owner_id=old.owner_id,
            name=f"{old.name} (extended)"[:200],
            config=old.config,
            data_spec=old.data_spec,
            state=Search.State.QUEUED,
            origin=old,
            relation=Search.Relation.EXTENDED,
            settings=old.settings,
            ran_s=old.ran_s,
            extra_trials=old.extra_trials + (trials or 0),
            extra_minutes=old.extra_minutes + (minutes or 0.0),
            n_entries=before,
            cursor=before,
        )
        LogEntry.objects.bulk_create(
            (
                LogEntry(search_id=new.pk, number=number, kind=kind, payload=payload)
                for number, (kind, payload) in enumerate(log[:before], start=1)
            ),
            batch_size=_CHUNK,
        )
        with writing(new.pk) as write:
            _copy_trials(write, old, new, config, [payload for _, payload in log])
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


def _copy_trials(write: Write, old: Search, new: Search, config: SearchConfig, log: list[Any]) -> None:
    """Trials keep what they have; those that the end of the old search cut off wait again, or go on from their seed."""
    told: dict[int, int] = {}
    thrown: set[int] = set()
    for payload in log:
        if payload["kind"] == "result":
            told[payload["trial"]] = max(payload["fidelity"], told.get(payload["trial"], 0))
        elif payload["edit"] == "cancel_trial":
            thrown.add(payload["payload"]["trial"])
    for trial in Trial.objects.filter(search_id=old.pk).order_by("number"):
        # a full training is not repeated: the sealed test split was opened for this trial once already
        trained = trial.final_state == Trial.FinalState.DONE
        points = list(Point.objects.filter(trial_id=trial.pk, **({} if trained else {"final": False})))
        kept = list(Artifact.objects.filter(trial_id=trial.pk, kind__in=_KEPT)) if trained else []
        trial.pk, trial.search_id, trial.on_front = None, new.pk, False
        if not trained:
            trial.final_state, trial.final_reason, trial.final, trial.final_correct = "", "", {}, None
            trial.bundle_checks = []
        again = trial.state == Trial.State.CANCELLED and trial.number not in thrown
        if again:
            rested = told.get(trial.number, 0) >= trial.target_epochs
            trial.state = Trial.State.PAUSED if rested else Trial.State.WAITING
            trial.reason, trial.ended_at = "", None
        trial.save(force_insert=True)
        write.moved(None, trial.state)
        for point in points:
            point.pk, point.trial_id = None, trial.pk
        Point.objects.bulk_create(points)
        for artifact in kept:  # another row for the same file; `search_delete` leaves files that a row still names
            artifact.pk, artifact.search_id, artifact.trial_id = None, new.pk, trial.pk
        Artifact.objects.bulk_create(kept)
        write.add_bytes(sum(artifact.bytes for artifact in kept))
        if trial.state == Trial.State.WAITING:
            states.job_new(
                write,
                trial_id=trial.pk,
                kind=Job.Kind.TRAIN,
                fidelity=trial.target_epochs,
                payload={"max_fidelity": config.budget.epochs, "replicate": trial.proposal.get("replicate", 0)},
            )
