"""What a preflight found, in words for the form."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db.models.functions import Now
from django.utils import timezone

from engine.config import SearchConfig
from searches.models import Job, Search
from searches.selectors.workers import workers_online
from searches.services.preflight import expected_epochs

#: starting a child, reading its report, deciding what is next: seconds a trial costs beside its training
OVERHEAD_S = 0.3


def preflight_status(*, search: Search) -> dict[str, Any]:
    """State of a draft's preflight. Two queries, three while it waits.

    Returns:
        `{"state": "none" | "waiting" | "running" | "done" | "failed", "worker", "age_s", "lines": [str], "reason",
        "search_s", "final_s", "smallest", "largest"}`; the figures only once it is done: seconds for the search and
        for the full training of its winner, and `{"n_params", "epoch_s", "memory_bytes"}` of the two networks.
    """
    job = Job.objects.filter(search=search, kind=Job.Kind.PREFLIGHT).annotate(now=Now()).order_by("-id").first()
    if job is None:
        return {"state": "none", "worker": "", "age_s": 0.0, "lines": [], "reason": ""}
    now = job.now or timezone.now()
    since = job.ended_at or job.started_at or job.created_at
    out: dict[str, Any] = {
        "state": "waiting" if job.state == Job.State.HELD else job.state,
        "worker": job.worker,
        "age_s": max(0.0, (now - since).total_seconds()),
        "lines": [],
        "reason": job.reason,
    }
    if job.state == Job.State.CANCELLED:
        return out | {"state": "failed", "reason": job.reason or "replaced by a newer one"}
    if job.state in (Job.State.WAITING, Job.State.HELD):
        online = workers_online()
        out["lines"] = ["waiting for a free worker" if online else "no worker is online; it runs when one comes"]
    elif job.state == Job.State.RUNNING:
        out["lines"] = [f"measuring on {job.worker}"]
    elif job.state == Job.State.DONE:
        out |= estimate(SearchConfig.parse(search.config), job.payload, job.result, slots=_slots())
    return out


def preflights_done(*, user: AbstractBaseUser, most: int) -> list[Job]:
    """A person's last measurements that came to an end, each with its search, the newest first."""
    done = Job.objects.filter(kind=Job.Kind.PREFLIGHT, state=Job.State.DONE, search__owner_id=user.pk)
    return list(done.select_related("search").order_by("-id")[:most])


def _slots() -> int:
    return sum(worker.slots for worker in workers_online())


def estimate(config: SearchConfig, payload: dict[str, Any], result: dict[str, Any], *, slots: int) -> dict[str, Any]:
    """From two measured networks to the time of the whole search.

    Seconds an epoch are read off a line through the two measured networks at the multiply-adds of every sampled one and
    averaged; trials train as many epochs as the schedule gives them on average, side by side on `slots` (0 = unknown).

    Args:
        config: the search.
        payload: `sampled(...)`.
        result: the job's report as JSON; `cost.networks` in the order of `payload["architectures"]`.
        slots: trials that all workers online can run at once.
    """
    report = result.get("report", result)
    rows = report.get("cost", {}).get("networks", [])
    if not rows:
        return {"state": "failed", "reason": "the worker's measurement holds no networks"}
    smallest, largest = rows[0], rows[-1]
    macs = np.asarray(payload["n_macs"], dtype=float)
    spread = np.interp(macs, [macs[0], max(macs[-1], macs[0] + 1)], [smallest["epoch_s"], largest["epoch_s"]])
    epoch_s = float(spread.mean())
    side_by_side = max(1, min(config.parallelism, slots or config.parallelism, config.budget.trials))
    search_s = config.budget.trials * (epoch_s * expected_epochs(config) + OVERHEAD_S) / side_by_side
    supernet = report.get("cost", {}).get("supernet")
    shared_s, shared = _shared(config, supernet) if supernet else (0.0, [])
    search_s += shared_s
    limited = config.budget.minutes is not None and 60 * config.budget.minutes < search_s
    if limited and config.budget.minutes is not None:
        search_s = 60 * config.budget.minutes
    final_s = epoch_s * config.final_epochs if config.final.enabled else 0.0
    first = f"about {_clock(search_s)}{' (its limit of minutes)' if limited else ''}"
    if config.final.enabled:
        first += f", then {_clock(final_s)} for the winner"
    return {
        "search_s": search_s,
        "final_s": final_s,
        "smallest": smallest,
        "largest": largest,
        "lines": [
            f"{first}.",
            f"Smallest sampled network {_seconds(smallest['epoch_s'])} an epoch and "
            f"{_memory(smallest['memory_bytes'])}, largest {_seconds(largest['epoch_s'])} and "
            f"{_memory(largest['memory_bytes'])}.",
            *shared,
        ],
    }


def _shared(config: SearchConfig, row: dict[str, float]) -> tuple[float, list[str]]:
    """Seconds before the first network is trained alone (one supernet after another, then scores), and a sentence."""
    options: Any = config.options("strategy")
    training = options.runs * options.epochs * row["epoch_s"]
    scores = getattr(options, "scores", 0) + config.budget.trials
    scoring = options.runs * scores * row["score_s"]
    text = (
        f"Supernet {_seconds(row['epoch_s'])} an epoch and {_memory(row['memory_bytes'])}: {_clock(training)} for "
        f"{options.runs * options.epochs:,} epochs, {_clock(scoring)} for {scores:,} scores."
    )
    return training + scoring, [text]


def _clock(seconds: float) -> str:
    whole = max(1, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.095 else f"{value:.2g} s"


def _memory(value: float) -> str:
    return f"{value / 1e6:,.0f} MB" if value < 1e9 else f"{value / 1e9:.1f} GB"
