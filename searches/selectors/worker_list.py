"""The workers and what each of them does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import F
from django.db.models.functions import Now

from searches.models import Job, Worker
from searches.selectors.listing import age
from searches.selectors.workers import workers_online

SHOWN = 50  # workers that left long ago are not listed without end


@dataclass
class WorkerRow:
    """One worker as the page shows it."""

    worker: Worker
    online: bool
    device: str
    versions: str
    doing: list[dict[str, Any]] = field(default_factory=list)
    others: int = 0
    seen: str = ""
    joined: str = ""


def worker_rows(*, user: AbstractBaseUser | AnonymousUser) -> list[WorkerRow]:
    """Workers, the ones online first, then by when they were last seen. Three queries.

    Jobs of other people's searches are counted, not named.
    """
    online = {w.pk for w in workers_online()}
    workers = list(Worker.objects.annotate(now=Now()).order_by("-seen_at")[:SHOWN])
    mine: dict[str, list[dict[str, Any]]] = defaultdict(list)
    others: dict[str, int] = defaultdict(int)
    running = Job.objects.filter(state=Job.State.RUNNING).order_by("started_at", "pk")
    rows = running.values(
        "kind",
        "worker",
        "progress",
        "fidelity",
        "search_id",
        owner=F("search__owner_id"),
        search_name=F("search__name"),
        number=F("trial__number"),
        trial_name=F("trial__name"),
    )
    for job in rows[:500]:
        if job["owner"] != user.pk:
            others[job["worker"]] += 1
            continue
        progress = job["progress"] or {}
        epochs = progress.get("epochs") or job["fidelity"]
        job["words"] = {"train": "trains", "final": "trains fully", "preflight": "measures a preflight"}.get(
            job["kind"], job["kind"]
        )
        job["epoch"] = (
            f"epoch {progress['epoch']} of {epochs}"
            if progress.get("epoch") is not None and epochs
            else str(progress.get("phase", ""))
        )
        mine[job["worker"]].append(job)
    out = []
    for w in workers:
        device = w.device or {}
        now = w.now or w.seen_at
        parts = [str(device.get("model") or ("GPU" if w.kind == "cuda" else "CPU"))]
        if device.get("cores"):
            parts.append(f"{device['cores']} cores")
        if isinstance(device.get("memory"), int | float) and device["memory"] > 0:
            parts.append(f"{device['memory'] / 1e9:.0f} GB")
        versions = device.get("versions") if isinstance(device.get("versions"), dict) else {}
        out.append(
            WorkerRow(
                worker=w,
                online=w.pk in online,
                device=", ".join(parts),
                versions=", ".join(f"{k} {v}" for k, v in versions.items()),
                doing=mine.get(w.name, []) if w.pk in online else [],
                others=others.get(w.name, 0) if w.pk in online else 0,
                seen=_ago((now - w.seen_at).total_seconds()),
                joined=_ago((now - w.joined_at).total_seconds()),
            )
        )
    return sorted(out, key=lambda r: not r.online)


def _ago(seconds: float) -> str:
    words = age(seconds)
    return f"{max(0, seconds):.0f} s ago" if words == "now" else words if words == "yesterday" else f"{words} ago"
