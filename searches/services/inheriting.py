"""Weights on their way from one trial to another: which checkpoints stay, and how a child's worker gets its parent's.

Where a strategy inherits (`Strategy.inherits`), a trial's last checkpoint stays when the trial ends, as long as its
conductor says that somebody may begin with it (`Conductor.keeps`), the search is under way and the quota allows it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from django.db.models import Q

from engine import catalog
from engine.config import SearchConfig
from engine.history import ENDED, History
from searches.models import Artifact, Job, Trial
from searches.services import states
from searches.services.checkpoints import checkpoint_fetch
from searches.services.writing import Write


def train_payload(config: SearchConfig, proposal: Mapping[str, Any]) -> dict[str, Any]:
    """What a training job of a trial is told beside its columns.

    Args:
        config: of the search.
        proposal: of the trial, as JSON.
    """
    out: dict[str, Any] = {"max_fidelity": config.budget.epochs, "replicate": int(proposal.get("replicate") or 0)}
    if catalog.get("strategy", config.strategy.name).inherits:
        out["keep"] = True
    if proposal.get("init_from"):
        out["init_from"] = proposal["init_from"]
    return out


def checkpoints_trim(write: Write, history: History, keeps: Collection[int]) -> None:
    """Deletes checkpoints that nobody will begin with: those of ended trials outside of `keeps`.

    Args:
        write: on the search.
        history: what was decided upon; a trial that has ended since then is not judged yet.
        keeps: trials whose weights stay.
    """
    rows = Artifact.objects.filter(search_id=write.search.pk, kind=Artifact.Kind.CHECKPOINT, trial__isnull=False)
    over = {n for n in rows.values_list("trial__number", flat=True) if n not in keeps and history[n].state in ENDED}
    if over:
        finals = Job.objects.filter(search_id=write.search.pk, kind=Job.Kind.FINAL, state__in=Job.OPEN)
        used = list(finals.exclude(checkpoint="").values_list("checkpoint", flat=True))
        states.checkpoints_delete(write, Q(trial__number__in=over) & ~Q(name__in=used))


def origin_fetch(job: Job, folder: Path) -> dict[str, Any] | None:
    """What a child process is told of the weights its trial begins with, their file fetched; None = its seed.

    Args:
        job: with `init_from` in its payload, or without.
        folder: where the file goes.
    """
    how = job.payload.get("init_from")
    if not how:
        return None
    parent = Trial.objects.only("architecture").get(search_id=job.search_id, number=how["trial"])
    path = None
    for _ in range(2):  # a new rung of the parent may replace its checkpoint while it is being fetched
        jobs = Job.objects.filter(trial_id=parent.pk, kind=Job.Kind.TRAIN).exclude(checkpoint="").order_by("-id")
        name = jobs.values_list("checkpoint", flat=True).first()
        path = checkpoint_fetch(name, folder / "parent.safetensors") if name else None
        if path is not None:
            break
    return {"how": how, "architecture": parent.architecture, "checkpoint": str(path) if path else None}
