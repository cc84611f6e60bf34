"""Counts from the rows, to compare with the counters kept beside them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Count, Max

from searches.models import Event, Job, LogEntry, Search, Trial


def counts_recomputed(*, search: Search) -> dict[str, int]:
    """Trials by state, counted from their rows, under the names of the counters (`n_trials`, `n_waiting` ...)."""
    rows = Trial.objects.filter(search_id=search.pk).order_by().values_list("state").annotate(n=Count("id"))
    by_state = Counter(dict(rows))
    return {"n_trials": sum(by_state.values()), **{f"n_{state}": by_state[state] for state in Trial.State.values}}


def inconsistencies(*, search: Search) -> list[str]:
    """What does not fit together in a search, in words; empty where all is well. Reads the whole history."""
    search.refresh_from_db()
    found = [
        f"{name} is {getattr(search, name)}, {n} rows"
        for name, n in counts_recomputed(search=search).items()
        if getattr(search, name) != n
    ]
    entries = LogEntry.objects.filter(search_id=search.pk)
    found += _gapless("log entries", entries.aggregate(n=Count("id"), top=Max("number")), search.n_entries)
    events = Event.objects.filter(search_id=search.pk)
    first = events.order_by("seq").values_list("seq", flat=True).first() or 1
    seen = events.aggregate(n=Count("id"), top=Max("seq"))
    seen["n"] += first - 1  # old ones are deleted
    found += _gapless("events", seen, search.seq)
    numbers = Trial.objects.filter(search_id=search.pk).aggregate(n=Count("id"), top=Max("number"))
    found += _gapless("trials", numbers, search.n_trials)
    if search.ended:
        open_jobs = Job.objects.filter(search_id=search.pk, state__in=Job.OPEN).exclude(kind=Job.Kind.FINAL).count()
        if open_jobs:
            found.append(f"{open_jobs} open jobs in an ended search")
    return found


def _gapless(what: str, seen: dict[str, Any], expected: int) -> list[str]:
    if seen["n"] == (seen["top"] or 0) == expected:
        return []
    return [f"{what}: {seen['n']} rows, highest number {seen['top']}, expected {expected}"]
