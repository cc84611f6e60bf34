"""How long a search has run, and how long it, or what it does now, will still take: from what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from django.db.models import F, Max, Min, Window

from engine.config import SearchConfig
from searches.models import Job, Search, SupernetEpoch, Trial
from searches.services.supernets import is_sharing

#: epochs of a supernet that its pace is the median of: stages and pruned options change it on the way
LAST = 5


def elapsed_s(search: Search, now: datetime) -> float:
    """Running time, pauses not counted; never negative."""
    running = (now - search.running_since).total_seconds() if search.running_since else 0.0
    return max(0.0, search.ran_s + max(0.0, running))


def within_minutes(search: Search, left: float, now: datetime) -> float:
    """Seconds left, but no more than the search's budget of minutes allows, if it has one."""
    minutes = (search.config or {}).get("budget", {}).get("minutes")
    if not minutes:
        return left
    return min(left, max(0.0, 60 * (minutes + search.extra_minutes) - elapsed_s(search, now)))


def first_starts(searches: Sequence[Search]) -> dict[int, datetime]:
    """When the first trial began, of those that share weights, by search. A query where there are such."""
    ids = [s.pk for s in searches if is_sharing(s.config)]
    if not ids:
        return {}
    found = Trial.objects.filter(search__in=ids, started_at__isnull=False).order_by().values("search")
    return dict(found.annotate(at=Min("started_at")).values_list("search", "at"))


def trials_left_s(
    search: Search, now: datetime, *, ended: int, budget: int, first: datetime | None = None
) -> float | None:
    """Seconds until the last trial has ended, at their pace so far; None before two have.

    Args:
        ended: trials that have.
        budget: trials in all.
        first: when the first one began, where a supernet came before it: what that took is no measure of trials.
    """
    if search.state not in (Search.State.RUNNING, Search.State.PAUSED) or ended < 2:
        return None
    spent = elapsed_s(search, now)
    if first is not None:
        spent = min(spent, (now - first).total_seconds())
    return within_minutes(search, spent / ended * max(0, budget - ended), now)


def supernet_left_s(search: Search, job: Job, now: datetime) -> float | None:
    """Seconds until a supernet is trained; None before its first epoch has ended, and while it does not train.

    Args:
        job: that trains it. One query.
    """
    return _left_s(search, job, _last_epochs([job.pk])[job.pk], now)


def supernets_under_way(searches: Sequence[Search], now: datetime) -> dict[int, tuple[str, float | None]]:
    """Which supernet each of them trains now, and how long still (`supernet_left_s`). Two queries at most."""
    running = {s.pk: s for s in searches if s.state == Search.State.RUNNING and is_sharing(s.config)}
    if not running:
        return {}
    under_way = Job.objects.filter(search__in=running, kind=Job.Kind.SUPERNET, state=Job.State.RUNNING)
    jobs = {job.search_id: job for job in under_way.order_by("id")}
    rows = _last_epochs([job.pk for job in jobs.values()])
    out = {}
    for pk, job in jobs.items():
        runs = (running[pk].config or {}).get("strategy", {}).get("runs", 1)
        which = "the supernet" if runs == 1 else f"supernet {job.payload.get('run', 1)} of {runs}"
        out[pk] = which, _left_s(running[pk], job, rows[job.pk], now)
    return out


def _last_epochs(jobs: Sequence[int]) -> dict[int, list[tuple[int, float | None]]]:
    """(epoch, seconds) of the last epochs, the newest last, by job."""
    out: dict[int, list[tuple[int, float | None]]] = {job: [] for job in jobs}
    if jobs:
        last = Window(Max("epoch"), partition_by="job_id")
        newest = SupernetEpoch.objects.filter(job__in=jobs).annotate(last=last).filter(epoch__gt=F("last") - LAST)
        for job, epoch, seconds in newest.order_by("epoch").values_list("job_id", "epoch", "row__duration_s"):
            out[job].append((epoch, seconds))
    return out


def _left_s(search: Search, job: Job, rows: Sequence[tuple[int, float | None]], now: datetime) -> float | None:
    seconds = [s for _, s in rows if s is not None]
    if not seconds or search.state != Search.State.RUNNING or job.state != Job.State.RUNNING:
        return None
    done = rows[-1][0]
    # whoever has seen enough waits for the end of this epoch alone
    epochs = done + 1 if job.order == "enough" else int(job.fidelity or job.payload.get("epochs") or 0)
    p = job.progress or {}
    share = p.get("batch", 0) / max(1, p.get("batches", 1)) if p.get("epoch") == done + 1 else 0.0
    return within_minutes(search, at_pace(seconds, epochs - done - share), now)


def at_pace(seconds: Sequence[float], epochs: float) -> float:
    """Seconds that so many further epochs take, from the seconds of the last ones."""
    return median(seconds) * max(0.0, epochs)


def final_estimate_s(trial: Trial, config: SearchConfig) -> float | None:
    """Seconds the full training of a trial will take, from its own speed; None before its first epoch."""
    if not trial.epochs or not trial.duration_s:
        return None
    return trial.duration_s / trial.epochs * config.final_epochs
