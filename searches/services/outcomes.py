"""What becomes of a trial when its job has an answer; inside `writing`, fenced by the claim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from django.db.models import Q

from engine.evaluation.base import Report
from engine.log import Result
from searches.models import Claim, Job, Search, Trial
from searches.services import finals, states
from searches.services.jsonable import jsonable
from searches.services.points import points_add
from searches.services.supernets import PIECES, piece_told
from searches.services.writing import Write


def job_told(
    write: Write,
    job: Job,
    claim: int,
    report: Report,
    *,
    outcome: str = "",
    bundle: Mapping[str, Any] | None = None,
    stored: Sequence[finals.Stored] = (),
) -> None:
    """Ends a running job with a report, and moves what hangs on it.

    Raises:
        Rejected: the claim does not hold any more; nothing was changed.
    """
    report = finite(report)
    failure = report.failure
    states.fenced(
        job.pk,
        claim,
        state=Job.State.FAILED if failure else Job.State.DONE,
        ended_at=write.now,
        lease_until=None,
        order="",
        reason=failure.message if failure else "",
        traceback=failure.traceback if failure else "",
        result={} if job.kind == Job.Kind.TRAIN else _result(report, rows=job.kind == Job.Kind.MEASURE),
    )
    states.claim_end(write, job.pk, claim, outcome or (Claim.Outcome.FAILED if failure else Claim.Outcome.DONE))
    if job.kind == Job.Kind.TRAIN:
        _trial_told(write, job, report)
    elif job.kind == Job.Kind.FINAL:
        trial = states.trial_of(write, pk=job.trial_id)
        points_add(write, job, trial, report.curve)
        finals.final_done(write=write, job=job, report=report, bundle=bundle, stored=list(stored))
        if job.checkpoint:  # by its name: others may begin with what the search has trained
            states.checkpoints_delete(write, Q(name=job.checkpoint))
        states.search_settle(write)
    elif job.kind in PIECES:
        piece_told(write, job, report)
        if failure is None:
            _keep_setting(write, report.cost)
    else:
        write.event("job", {"job": job.pk, "kind": job.kind, "state": "failed" if failure else "done"})


def finite(report: Report) -> Report:
    """The report without values that are not finite; a failure where the accuracy is one of them."""
    if report.failure is not None:
        return report
    bad = [name for name, value in report.metrics.items() if not math.isfinite(value)]
    if not bad:
        return report
    if "accuracy" in bad or "loss" in bad:
        name = "loss" if "loss" in bad else "accuracy"
        return Report.failed("not_finite", f"the {name} is {report.metrics[name]}", fidelity=report.fidelity)
    return replace(report, metrics={k: v for k, v in report.metrics.items() if k not in bad})


def _result(report: Report, *, rows: bool) -> dict[str, Any]:
    out = report.to_json()
    for name in ("correct", "artifacts", "curve", *(() if rows else ("rows",))):
        out.pop(name)
    return jsonable(out)


def _trial_told(write: Write, job: Job, report: Report) -> None:
    """The trial's side of a finished rung, and the entry of the decision log."""
    trial = states.trial_of(write, pk=job.trial_id)
    failure = report.failure
    said = {k: v for k, v in report.cost.items() if k != "networks"}
    fields: dict[str, Any] = {"duration_s": trial.duration_s + float(report.cost.get("duration_s") or 0.0)}
    if failure is not None:
        fields |= {
            "state": Trial.State.CANCELLED if failure.kind == "cancelled" else Trial.State.FAILED,
            "reason": failure.message,
            "failure_kind": failure.kind,
            "traceback": failure.traceback,
            "ended_at": write.now,
        }
        if job.checkpoint:
            states.checkpoints_delete(write, Q(trial_id=trial.pk))
    else:
        points_add(write, job, trial, report.curve)
        n_right = _n_right(report)
        fields |= {
            "accuracy": report.metrics.get("accuracy"),
            "metrics": jsonable(report.metrics),
            "fidelity": report.fidelity,
            "epochs": max(trial.epochs, report.fidelity),
            "source": report.source,
            "correct": report.correct,
            "n_samples": report.n_samples,
            "n_wrong": None if n_right is None else report.n_samples - n_right,
            "cost": jsonable(said),
        }
        if job.fidelity >= int(job.payload.get("max_fidelity", job.fidelity)):
            fields |= {"state": Trial.State.COMPLETED, "ended_at": write.now}
            if job.checkpoint and not job.payload.get("keep"):
                states.checkpoints_delete(write, Q(trial_id=trial.pk))
        else:
            fields["state"] = Trial.State.PAUSED
        _keep_setting(write, said)
    states.trial_set(write, trial, **fields)
    kept = replace(report, correct=None, artifacts={})
    write.entry(Result(trial.number, job.fidelity, kept).to_json())
    if failure is not None and failure.kind == "disk_full":
        pause_for_disk(write, failure.message)


def _n_right(report: Report) -> int | None:
    if report.correct is not None:
        bits = np.unpackbits(np.frombuffer(report.correct, dtype=np.uint8), count=report.n_samples)
        return int(bits.sum())
    if report.n_samples and "accuracy" in report.metrics:
        return round(report.metrics["accuracy"] * report.n_samples)
    return None


def _keep_setting(write: Write, cost: Mapping[str, Any]) -> None:
    """Notes precision, layout and threads by device model, as the first trial on it chose them."""
    model = cost.get("device_model")
    if not model or model in write.settings:
        return
    setting = {name: cost[name] for name in ("precision", "layout", "threads") if name in cost}
    write.set(settings={**write.settings, str(model): setting})


def pause_for_disk(write: Write, message: str) -> None:
    """Pauses a search whose worker has no room left."""
    from searches.services.pausing import pause

    if write.search.state in (Search.State.QUEUED, Search.State.RUNNING):
        pause(write, f"paused: {message}. Free some space, then resume.")
