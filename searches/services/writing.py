"""One short transaction on one search: its row locked first, its counters, events and log entries written last.

Everything that changes a search, its trials or its jobs runs inside `writing`. Its row is locked before anything else
is touched (on SQLite the IMMEDIATE transaction does that), so that all writers take locks in one order, event and log
numbers have no gaps, and counters equal the rows they count. Publishing and enqueueing happen after the commit.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from searches import events as publisher
from searches.models import Event, LogEntry, LogLine, Search, Trial
from searches.services.jsonable import jsonable

_FIELDS = (
    "id", "name", "owner_id", "state", "reason", "seq", "n_entries", "cursor", "decided", "ran_s", "running_since",
    "started_at", "ended_at", "n_trials", "n_waiting", "n_running", "n_paused", "n_completed", "n_pruned", "n_failed",
    "n_cancelled", "front", "winners", "waiting", "settings", "best", "disk_bytes",
    "best__number", "best__name", "best__accuracy", "best__n_wrong", "best__n_samples",
)  # fmt: skip
COUNTED = ("waiting", "running", "paused", "completed", "pruned", "failed", "cancelled")
_open = threading.local()


class Rejected(Exception):  # noqa: N818 - an outcome, not an error
    """What was asked for no longer holds (another claim, another state); the transaction is rolled back."""


class Write:
    """What one transaction adds to a search; made by `writing`.

    Attributes:
        search: the locked row (big JSON fields deferred).
        now: the database's clock.
    """

    def __init__(self, search: Search, now: datetime) -> None:
        self.search, self.now = search, now
        self._deltas: Counter[str] = Counter()
        self._fields: dict[str, Any] = {}
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._entries: list[tuple[str, dict[str, Any]]] = []
        self._announce = False
        self._trials: dict[int, Trial] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """Precision, layout and threads by device model."""
        return dict(self.search.settings)

    def set(self, **fields: Any) -> None:
        """Sets fields of the search."""
        for name, value in fields.items():
            setattr(self.search, name, value)
        self._fields.update(fields)
        self._announce = True

    def moved(self, old: str | None, new: str, n: int = 1) -> None:
        """Counts `n` trials that went from one state to another (None: they are new)."""
        if old == new:
            return
        changes = {f"n_{new}": n, **({"n_trials": n} if old is None else {f"n_{old}": -n})}
        for name, change in changes.items():
            self._deltas[name] += change
            setattr(self.search, name, getattr(self.search, name) + change)
        self._announce = True

    def add_bytes(self, n: int) -> None:
        """Counts bytes in the storage that this search holds (negative: freed)."""
        self._deltas["disk_bytes"] += n

    def entry(self, entry: Mapping[str, Any]) -> None:
        """Appends an entry to the decision log (`Result.to_json()` or `Edit.to_json()`)."""
        self._entries.append((str(entry["kind"]), jsonable(entry)))

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Appends an event with the next sequence number."""
        self._events.append((kind, jsonable(data)))

    def trial(self, trial: Trial) -> None:
        """Announces a trial as it stands at the end of this transaction (once, however often it is called)."""
        self._trials[trial.number] = trial

    def announce(self) -> None:
        """Announces the search as it stands at the end of this transaction."""
        self._announce = True

    def line(self, what: str, message: str, trial: Trial | None = None) -> None:
        """Adds a line to the log of the search, or of one of its trials."""
        LogLine.objects.create(search_id=self.search.pk, trial=trial, at=self.now, what=what[:20], message=message)
        number = trial.number if trial else None
        self.event("log", {"trial": number, "at": self.now, "what": what[:20], "message": message})

    def after(self, call: Callable[[], object]) -> None:
        """Calls it when the transaction is committed."""
        transaction.on_commit(call)

    def _flush(self) -> None:
        from searches.services.events import search_data, trial_data

        search = self.search
        for trial in self._trials.values():
            self._events.append(("trial", jsonable(trial_data(trial))))
        if self._announce:
            self._events.append(("search", jsonable(search_data(search))))
        fields: dict[str, Any] = {name: F(name) + n for name, n in self._deltas.items() if n}
        if self._events:
            fields["seq"] = F("seq") + len(self._events)
        if self._entries:
            fields["n_entries"] = F("n_entries") + len(self._entries)
        fields.update(self._fields)
        if fields:
            Search.objects.filter(pk=search.pk).update(**fields)
        if self._events:
            rows = [
                Event(search_id=search.pk, seq=search.seq + i, kind=kind, data=data)
                for i, (kind, data) in enumerate(self._events, start=1)
            ]
            search.seq += len(rows)
            Event.objects.bulk_create(rows, batch_size=500)
            messages = [(e.seq, e.kind, e.data) for e in rows]
            transaction.on_commit(lambda: publisher.publish(search.pk, messages))
        if self._entries:
            undecided = search.n_entries > search.cursor
            LogEntry.objects.bulk_create(
                LogEntry(search_id=search.pk, number=search.n_entries + i, kind=kind, payload=payload)
                for i, (kind, payload) in enumerate(self._entries, start=1)
            )
            search.n_entries += len(self._entries)
            if not undecided and search.state in Search.LIVE:
                # Someone who finds entries undecided need not ask: who wrote the first of them has, and `advance`
                # looks again after each commit. A lost request is found by the reaper.
                from searches.services.enqueue import advance_enqueue

                transaction.on_commit(lambda: advance_enqueue(search.pk))


@contextmanager
def writing(search_id: int) -> Iterator[Write]:
    """Opens (or joins, within one thread) the transaction on a search.

    Raises:
        Search.DoesNotExist: it was deleted.
    """
    current: dict[int, Write] = _open.__dict__.setdefault("writes", {})
    if search_id in current:
        yield current[search_id]
        return
    with transaction.atomic():
        row = (
            Search.objects.select_related("best")
            .only(*_FIELDS)
            .select_for_update(of=("self",))
            .annotate(db_now=Now())
            .get(pk=search_id)
        )
        write = Write(row, row.db_now)
        current[search_id] = write
        try:
            yield write
            write._flush()
        finally:
            del current[search_id]
