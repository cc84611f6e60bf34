"""Full trainings: the winner's at the end of a search, and any other trial's that a person asks for.

A full training starts from fresh weights with the full recipe, opens the sealed test split once, and leaves a bundle
that was checked in a fresh process, or the reason why there is none. Everything here that takes a `Write` runs inside
the caller's transaction (`services.writing`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from django.utils import timezone

from engine import catalog
from engine.conductor import training_seed
from engine.config import SearchConfig
from engine.errors import EngineError
from engine.evaluation.base import Report
from searches.models import Artifact, Job, Search, Trial
from searches.services.enqueue import job_enqueue
from searches.services.jsonable import jsonable
from searches.services.writing import Write, writing


class FinalRefused(EngineError):
    """A trial that cannot be trained fully, and why."""


# -- asking for one ---------------------------------------------------------------------------------------------------
def refusal(trial: Trial, config: SearchConfig) -> str:
    """Why a trial cannot be trained fully now; empty where it can."""
    if catalog.get("evaluator", config.evaluator.name).inline:
        return "This search reads its numbers from a table: there is no data to train on."
    if trial.state not in (Trial.State.COMPLETED, Trial.State.PRUNED):
        words = {Trial.State.FAILED: "failed", Trial.State.CANCELLED: "was cancelled"}
        return f"Trial {trial.number} {words.get(Trial.State(trial.state), 'has not ended yet')}."
    return ""


def trial_train_fully(*, trial: Trial, by: AbstractBaseUser | None = None) -> Job:
    """Enqueues the full training of an ended trial.

    One at a time: while it waits or runs, and once it is done, that job is returned and nothing changes. After a
    failure a new one is made.

    Raises:
        FinalRefused: the trial has not ended well, or there is nothing to train; the message is for people.
    """
    config = SearchConfig.parse(trial.search.config)
    with writing(trial.search_id) as write:
        fresh = Trial.objects.select_for_update().get(pk=trial.pk)
        job = _final_job(fresh)
        if job is not None and fresh.final_state not in (Trial.FinalState.NONE, Trial.FinalState.FAILED):
            return job
        if reason := refusal(fresh, config):
            raise FinalRefused(reason)
        job = _create(write, fresh, config)
        who = f", asked for by {by.get_username()}" if by is not None else ""
        write.line("final", f"full training of {config.final_epochs} epochs{who}", fresh)
        return job


def finals_start(*, write: Write, config: SearchConfig, winners: list[int]) -> int:
    """Enqueues the winners' full trainings when the search phase ends; returns how many are under way.

    Winners whose full training somebody asked for earlier keep that one.
    """
    if not config.final.enabled or catalog.get("evaluator", config.evaluator.name).inline:
        return 0
    number = 0
    for trial in Trial.objects.filter(search_id=write.search.pk, number__in=winners):
        if trial.final_state == Trial.FinalState.NONE and not refusal(trial, config):
            _create(write, trial, config)
            write.line("final", f"the winner's full training, {config.final_epochs} epochs", trial)
        number += trial.final_state in (Trial.FinalState.WAITING, Trial.FinalState.RUNNING)
    return number


def finals_settled(search: Search) -> bool:
    """Whether no winner's full training waits or runs: a finishing search may become completed."""
    return not Trial.objects.filter(
        search_id=search.pk,
        number__in=search.winners,
        final_state__in=[Trial.FinalState.WAITING, Trial.FinalState.RUNNING],
    ).exists()


def finals_problem(search: Search) -> str:
    """Why a completed search has no download of a winner, for its `reason`; empty where every one has."""
    trials = Trial.objects.filter(search_id=search.pk, number__in=search.winners).exclude(final_reason="")
    return " ".join(f"Trial {number}: {reason}" for number, reason in trials.values_list("number", "final_reason"))


def _final_job(trial: Trial) -> Job | None:
    return Job.objects.filter(trial=trial, kind=Job.Kind.FINAL).order_by("-id").first()


def _create(write: Write, trial: Trial, config: SearchConfig) -> Job:
    job = Job.objects.create(
        search_id=trial.search_id,
        trial=trial,
        kind=Job.Kind.FINAL,
        fidelity=config.final_epochs,
        enqueued_at=Now(),
        payload={
            "architecture": trial.architecture,
            "number": trial.number,
            "seed": training_seed(config.seed, trial.number, 0),  # as `engine.run` does it
            "replicate": 0,
            "max_fidelity": config.final_epochs,
            # what the search measured, for the model card
            "quick": {
                "metrics": trial.metrics or {"accuracy": trial.accuracy},
                "fidelity": trial.fidelity,
                "n_samples": trial.n_samples,
                "seed": trial.seed,
                "cost": {"duration_s": trial.duration_s, "inherited_epochs": trial.cost.get("inherited_epochs", 0)},
            },
        },
    )
    trial.points.filter(final=True).delete()  # of an earlier one that failed
    _set(write, trial, final_state=Trial.FinalState.WAITING, final_reason="", bundle_checks=[])
    job_enqueue(job_id=job.pk, claim=job.claim)
    return job


def _set(write: Write, trial: Trial, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(trial, name, value)
    trial.save(update_fields=list(fields))
    write.trial(trial)


# -- what becomes of it ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Stored:
    """A file that lies in the storage under its content's digest.

    Attributes:
        kind: what it is.
        name: in the storage.
        digest: SHA-256.
        bytes: size.
    """

    kind: str
    name: str
    digest: str
    bytes: int


def final_store(*, report: Report, bundle: Mapping[str, Any] | None) -> list[Stored]:
    """Puts weights and bundle into the storage; before the transaction, because uploads take time.

    Args:
        report: of the full training, paths on this machine.
        bundle: `BundleResult.to_json()`.
    """
    archive = (bundle or {}).get("path")
    files = [(Artifact.Kind.WEIGHTS, report.artifacts.get("weights")), (Artifact.Kind.BUNDLE, archive)]
    return [_store(str(kind), Path(path)) for kind, path in files if path]


def _store(kind: str, path: Path) -> Stored:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        name = f"{kind}/{digest[:2]}/{digest}{path.suffix}"
        if default_storage.exists(name):
            named = Artifact.objects.filter(name=name).exists()
            if default_storage.size(name) == size and (named or _fresh(name)):
                return Stored(kind, name, digest, size)
            default_storage.delete(name)  # cut off by a crash, or left by one and about to be swept up
        file.seek(0)
        saved = default_storage.save(name, File(file))
    if saved != name:  # somebody else stored the same content meanwhile
        default_storage.delete(saved)
    return Stored(kind, name, digest, size)


def _fresh(name: str) -> bool:
    """Whether a file was stored so lately that `sweeping.files_sweep` will not touch it before it is named."""
    return timezone.now() - default_storage.get_modified_time(name) < timedelta(minutes=30)


def final_started(*, write: Write, job: Job) -> None:
    """A worker has claimed it."""
    if job.trial_id is not None:
        _set(write, Trial.objects.get(pk=job.trial_id), final_state=Trial.FinalState.RUNNING, worker=job.worker)


def final_done(
    *, write: Write, job: Job, report: Report, bundle: Mapping[str, Any] | None, stored: list[Stored]
) -> None:
    """Takes over the report of a full training.

    Called in the fenced transaction that sets the job done. A report of a failure counts as `final_failed`; a bundle
    whose check failed leaves the numbers, no download, and the reason.
    """
    if report.failure is not None:
        final_failed(write=write, job=job, reason=report.failure.message)
        return
    assert job.trial_id is not None
    trial = Trial.objects.get(pk=job.trial_id)
    bundle = bundle or {"ok": False, "reason": "no bundle was written", "checks": [], "sizes": {}}
    n_right = round(report.metrics["accuracy"] * report.n_samples)
    earlier = Artifact.objects.filter(trial=trial, kind__in=[Artifact.Kind.WEIGHTS, Artifact.Kind.BUNDLE])
    write.add_bytes(-sum(earlier.values_list("bytes", flat=True)))
    earlier.delete()
    for s in stored:
        Artifact.objects.create(
            search_id=trial.search_id, trial=trial, kind=s.kind, name=s.name, digest=s.digest, bytes=s.bytes
        )
    write.add_bytes(sum(s.bytes for s in stored))
    final = {
        "metrics": dict(report.metrics),
        "epochs": report.fidelity,
        "seed": report.seed,
        "cost": dict(report.cost),
        "n_samples": report.n_samples,
        "n_wrong": report.n_samples - n_right,
        "sizes": bundle.get("sizes", {}),
        "bundle_bytes": next((s.bytes for s in stored if s.kind == Artifact.Kind.BUNDLE), None),
        "bundle_s": bundle.get("duration_s"),
        "verified_at": write.now.isoformat(),
    }
    _set(
        write,
        trial,
        final_state=Trial.FinalState.DONE,
        final_reason="" if bundle["ok"] else str(bundle["reason"]),
        final=jsonable(final),
        final_correct=report.correct,
        bundle_checks=list(bundle["checks"]),
    )
    if "test_accuracy" in report.metrics:
        n = int(report.metrics.get("n_test", 0))
        write.line("test", f"opened once: {round(report.metrics['test_accuracy'] * n):,} of {n:,} right", trial)
    if not bundle["ok"]:
        write.line("bundle", str(bundle["reason"]), trial)


def final_failed(*, write: Write, job: Job, reason: str) -> None:
    """It failed for good, or was cancelled; the trial keeps what the search measured."""
    if job.trial_id is None:
        return
    trial = Trial.objects.get(pk=job.trial_id)
    text = f"full training failed, so there is no download: {reason}"
    _set(write, trial, final_state=Trial.FinalState.FAILED, final_reason=text)
    write.line("final", text, trial)
