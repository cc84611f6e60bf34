"""Learning curves: each epoch once, whoever reports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searches.models import Job, Point, Trial
from searches.services.jsonable import jsonable
from searches.services.writing import Write

_POINT = ("accuracy", "loss", "train_loss", "samples_per_s")


def points_add(write: Write, job: Job, trial: Trial, points: Sequence[Mapping[str, Any]]) -> int:
    """Adds epochs to a trial's curve and announces the new ones; inside `writing`, after the fence.

    Returns:
        The last new epoch, 0 if there is none.
    """
    if not points:
        return 0
    final = job.kind == Job.Kind.FINAL
    epochs = [int(p["epoch"]) for p in points]
    have: set[int] = set()
    if final or trial.epochs:
        known = Point.objects.filter(trial_id=trial.pk, final=final, epoch__in=epochs)
        have = set(known.values_list("epoch", flat=True))
    rows = {
        int(p["epoch"]): Point(
            trial_id=trial.pk, final=final, epoch=int(p["epoch"]), **{k: jsonable(p.get(k)) for k in _POINT}
        )
        for p in points
        if int(p["epoch"]) not in have
    }
    if not rows:
        return 0
    Point.objects.bulk_create(rows.values())
    for row in rows.values():
        values = {k: getattr(row, k) for k in _POINT}
        write.event("point", {"trial": trial.number, "final": final, "epoch": row.epoch, **values})
    return max(rows)
