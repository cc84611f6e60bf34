"""How long a search has run, and how long it, or what it does now, will still take: from what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from django.db.models import Min

from engine.config import SearchConfig
from searches.models import Job, Search, Trial
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


def trials_left_s(search: Search, now: datetime, *, ended: int, budget: int) -> float | None:
    """Seconds until the last trial has ended, at their pace so far; None before two have.

    A query where weights are shared, none otherwise.

    Args:
        ended: trials that have.
        budget: trials in all.
    """
    if search.state not in (Search.State.RUNNING, Search.State.PAUSED) or ended < 2:
        return None
    left = _trials_s(search, now) / ended * max(0, budget - ended)
    return within_minutes(search, left, now)


def _trials_s(search: Search, now: datetime) -> float:
    """Seconds of the running time since the first trial began: what a supernet took is no measure of trials."""
    seconds = elapsed_s(search, now)
    if not is_sharing(search.config):
        return seconds
    first = search.trials.aggregate(at=Min("started_at"))["at"]
    return min(seconds, (now - first).total_seconds()) if first else seconds


def supernet_left_s(search: Search, job: Job, now: datetime) -> float | None:
    """Seconds until a supernet is trained; None before its first epoch has ended, and while it does not train.

    Args:
        job: that trains it. One query.
    """
    if search.state != Search.State.RUNNING or job.state != Job.State.RUNNING:
        return None
    rows = list(job.epochs.order_by("-epoch").values_list("epoch", "row__duration_s")[:LAST])
    seconds = [s for _, s in rows if s is not None]
    if not seconds:
        return None
    done = rows[0][0]
    # whoever has seen enough waits for the end of this epoch alone
    epochs = done + 1 if job.order == "enough" else int(job.fidelity or job.payload.get("epochs") or 0)
    p = job.progress or {}
    share = p.get("batch", 0) / max(1, p.get("batches", 1)) if p.get("epoch") == done + 1 else 0.0
    return within_minutes(search, at_pace(seconds, epochs - done - share), now)


def supernet_under_way(search: Search, now: datetime) -> tuple[str, float | None]:
    """Which supernet is being trained, and `supernet_left_s` of it; ("", None) where none is. Two queries at most."""
    if search.state != Search.State.RUNNING or not is_sharing(search.config):
        return "", None
    job = search.jobs.filter(kind=Job.Kind.SUPERNET, state=Job.State.RUNNING).order_by("id").last()
    if job is None:
        return "", None
    runs = (search.config or {}).get("strategy", {}).get("runs", 1)
    which = "the supernet" if runs == 1 else f"supernet {job.payload.get('run', 1)} of {runs}"
    return which, supernet_left_s(search, job, now)


def at_pace(seconds: Sequence[float], epochs: float) -> float:
    """Seconds that so many further epochs take, from the seconds of the last ones."""
    return median(seconds) * max(0.0, epochs)


def final_estimate_s(trial: Trial, config: SearchConfig) -> float | None:
    """Seconds the full training of a trial will take, from its own speed; None before its first epoch."""
    if not trial.epochs or not trial.duration_s:
        return None
    return trial.duration_s / trial.epochs * config.final_epochs
