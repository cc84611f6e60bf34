"""What people do to searches: create, start, pause, resume, finish, cancel, rename, archive, delete.

Extending lives in `extending`; all of it is offered here, because this is where the pages look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction

from engine.architecture import Option
from engine.config import SearchConfig
from engine.log import Edit
from searches.models import (
    Artifact,
    Claim,
    Event,
    Job,
    LogEntry,
    LogLine,
    Point,
    Search,
    Snapshot,
    SpaceVersion,
    Subnet,
    SupernetEpoch,
    Trial,
)  # fmt: skip
from searches.scratch import settings_forget
from searches.services import states
from searches.services.advance import trial_stop
from searches.services.extending import search_extend
from searches.services.pausing import pause, resume
from searches.services.writing import Rejected, writing

__all__ = [
    "Rejected", "search_archive", "search_cancel", "search_create", "search_delete", "search_extend", "search_finish",
    "search_pause", "search_rename", "search_resume", "search_start", "search_unarchive", "trial_cancel",
]  # fmt: skip
#: rows deleted in one transaction
CHUNK = 2_000
_PARTS = (Event, LogEntry, LogLine, Snapshot, Claim, Artifact, Subnet, Job, Trial)


def search_create(
    *,
    owner: Any,
    config: SearchConfig,
    start: bool,
    submit_token: str | None = None,
    origin: Search | None = None,
    relation: str = "",
    space_version: SpaceVersion | None = None,
    first: Sequence[Mapping[str, Option]] = (),
) -> Search:
    """Stores a search as a draft, and starts it in the same transaction where asked.

    Args:
        space_version: the saved space it begins with; its options stand in `config` in full.
        first: choices of architectures that are tried before the strategy proposes its own.

    A `submit_token` that was used before finds the search it made: a second press of the button makes nothing.
    """
    fields = {
        "name": config.name,
        "config": config.to_json(),
        "origin": origin,
        "relation": relation or Search.Relation.NONE,
        "space_version": space_version,
    }
    try:
        with transaction.atomic():  # as one: a crash between the two must not leave a draft that holds the token
            search = Search.objects.create(owner=owner, submit_token=submit_token or None, **fields)
            if first:
                with writing(search.pk) as write:
                    for choices in first:
                        write.entry(
                            Edit("propose", {"choices": dict(choices), "why": "by hand: to begin with"}).to_json()
                        )
            if start:
                search_start(search=search, by=owner)
    except IntegrityError:
        first = Search.objects.filter(owner=owner, submit_token=submit_token).first() if submit_token else None
        if first is None:
            raise
        return first
    if start:
        search.refresh_from_db()
    return search


def _only(state: str, allowed: tuple[str, ...], what: str) -> None:
    if state not in allowed:
        raise Rejected(f"It is {state} and cannot be {what}.")


def search_start(*, search: Search, by: Any) -> None:
    """draft -> queued; the control worker takes it from there, as soon as it can be reached."""
    with writing(search.pk) as write:
        _only(write.search.state, (Search.State.DRAFT,), "started")
        write.set(state=Search.State.QUEUED, reason="")
        write.entry(Edit("start").to_json())
        write.line("search", f"started by {by}")


def search_pause(*, search: Search, by: Any) -> None:
    """running -> paused, at once; what runs checkpoints and hands back within seconds."""
    with writing(search.pk) as write:
        _only(write.search.state, (Search.State.QUEUED, Search.State.RUNNING), "paused")
        pause(write, f"paused by {by}")


def search_resume(*, search: Search, by: Any) -> None:
    """paused -> running."""
    with writing(search.pk) as write:
        _only(write.search.state, (Search.State.PAUSED,), "resumed")
        resume(write, f"resumed by {by}")


def search_finish(*, search: Search, by: Any) -> None:
    """Ends the search phase now and keeps its results; the winner is trained fully."""
    with writing(search.pk) as write:
        _only(write.search.state, (Search.State.QUEUED, Search.State.RUNNING, Search.State.PAUSED), "finished")
        write.set(state=Search.State.FINISHING, reason=f"finished by {by}")
        states.clock_start(write)
        write.entry(Edit("finish").to_json())
        write.line("search", f"finished by {by}; results are kept")


def search_cancel(*, search: Search, by: Any) -> None:
    """Stops everything at once, for good; late results are rejected."""
    with writing(search.pk) as write:
        _only(write.search.state, Search.LIVE, "cancelled")
        write.entry(Edit("cancel").to_json())
        states.search_end(write, Search.State.STOPPED, f"cancelled by {by}")


def search_rename(*, search: Search, by: Any, name: str) -> None:
    """Gives it another name, in any state."""
    with writing(search.pk) as write:
        before = write.search.name
        write.set(name=name)
        write.line("search", f"renamed by {by}, was “{before}”")


def search_archive(*, search: Search, by: Any) -> None:
    """Takes an ended search or a draft out of the list."""
    with writing(search.pk) as write:
        _only(write.search.state, (*Search.ENDED, Search.State.DRAFT), "archived while it is under way")
        write.set(archived=True)


def search_unarchive(*, search: Search, by: Any) -> None:
    """Puts it back into the list."""
    with writing(search.pk) as write:
        write.set(archived=False)


def search_delete(*, search: Search, by: Any) -> None:
    """Deletes a search with all it holds; a live one is cancelled first. Large ones in several transactions."""
    with writing(search.pk) as write:
        if write.search.state in Search.LIVE:
            states.search_end(write, Search.State.STOPPED, f"deleted by {by}")
        else:
            jobs = list(Job.objects.filter(search_id=search.pk, state__in=Job.OPEN).only("id"))
            states.jobs_cancel(write, jobs, f"deleted by {by}")
        write.set(archived=True, best=None)
    names = set(Artifact.objects.filter(search_id=search.pk).values_list("name", flat=True))
    blobs = list(Snapshot.objects.filter(search_id=search.pk).exclude(blob="").values_list("blob", flat=True))
    for rows in (
        Point.objects.filter(trial__search_id=search.pk),
        SupernetEpoch.objects.filter(job__search_id=search.pk),
        *(model.objects.filter(search_id=search.pk) for model in _PARTS),
    ):
        while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
            rows.model.objects.filter(pk__in=ids).delete()
    Search.objects.filter(pk=search.pk).delete()
    kept = set(Artifact.objects.filter(name__in=names).values_list("name", flat=True))
    for name in [*(names - kept), *blobs]:
        default_storage.delete(name)
    settings_forget(search.pk)


def trial_cancel(*, trial: Trial, by: Any) -> None:
    """Ends one trial at once; the search goes on."""
    with writing(trial.search_id) as write:
        fresh = states.trial_of(write, pk=trial.pk)
        _only(fresh.state, (Trial.State.WAITING, Trial.State.RUNNING, Trial.State.PAUSED), "cancelled")
        trial_stop(write, fresh, f"cancelled by {by}")
        write.entry(Edit("cancel_trial", {"trial": fresh.number}).to_json())
