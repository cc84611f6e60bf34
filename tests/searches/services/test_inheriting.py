"""Weights go from trial to trial through the storage: what stays, what goes, what a child does without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from engine.evaluation.base import Report
from searches.models import Artifact, Job, LogLine, Search, Trial
from searches.runner import run_job
from searches.selectors.checks import inconsistencies
from searches.services.advance import advance_search
from searches.services.conductors import load
from searches.services.finals import trial_train_fully
from searches.services.inheriting import origin_fetch
from searches.services.jobs import job_checkpoint, job_claim, job_done, job_failed
from searches.services.lifecycle import search_cancel, trial_cancel
from searches.services.reap import checkpoints_reap
from tests.factories import search_make, user_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
CLIMB = {"name": "morphism_climb", "initial": 2, "children": 2}
TRAINED = {"name": "trained"}


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> Path:
    """Files of the storage go to a folder of the test."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    return Path(settings.MEDIA_ROOT)


def make(**fields: Any) -> Search:
    usual = {"evaluator": TRAINED, "strategy": CLIMB, "parallelism": 1, "budget": {"trials": 8, "epochs": 4}}
    return search_make(**{**usual, **fields})


def next_job(search: Search) -> Job:
    advance_search(search_id=search.pk)
    found = Job.objects.filter(search=search, state=Job.State.WAITING, kind=Job.Kind.TRAIN).order_by("id").first()
    assert found is not None
    return found


def acted(job: Job, accuracy: float) -> Trial:
    """What a worker does with a job: claims it, uploads a checkpoint, tells a result."""
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None and claimed.trial is not None
    name = default_storage.save(f"checkpoints/{job.search_id}/{job.pk}.safetensors", ContentFile(b"x" * 1000))
    assert job_checkpoint(job=claimed.job, claim=claimed.claim, name=name, digest="d", n_bytes=1000)
    report = Report(metrics={"accuracy": accuracy, "loss": 1.0}, fidelity=job.fidelity)
    assert job_done(job=claimed.job, claim=claimed.claim, report=report)
    return claimed.trial


def kept(search: Search) -> list[int]:
    """Trials whose checkpoint is in the storage; rows, files and the count of bytes agree."""
    rows = list(Artifact.objects.filter(search=search, kind="checkpoint").order_by("trial__number"))
    assert all(default_storage.exists(a.name) for a in rows)
    folder = f"checkpoints/{search.pk}"
    files = default_storage.listdir(folder)[1] if default_storage.exists(folder) else []
    search.refresh_from_db()
    assert len(files) == len(rows) and search.disk_bytes == sum(a.bytes for a in rows)
    return [a.trial.number for a in rows if a.trial is not None]


def test_the_parent_and_those_of_its_step_stay_and_the_others_go() -> None:
    search = make()
    for accuracy in (0.5, 0.6):  # trials 1 and 2: where the climb begins
        acted(next_job(search), accuracy)
    job = next_job(search)
    assert job.payload["init_from"]["trial"] == 2 and job.payload["keep"] is True
    assert kept(search) == [2]
    acted(job, 0.7)
    job = next_job(search)
    assert kept(search) == [2, 3] and job.payload["init_from"]["trial"] == 2
    acted(job, 0.65)
    job = next_job(search)
    assert job.payload["init_from"]["trial"] == 3 and kept(search) == [3]
    assert inconsistencies(search=search) == []
    search_cancel(search=search, by=user_make())
    assert kept(search) == []


def test_other_strategies_keep_nothing_at_the_end_of_a_trial() -> None:
    search = make(strategy="random")
    acted(next_job(search), 0.5)
    assert "keep" not in next_job(search).payload and kept(search) == []


def test_a_parent_stays_while_a_child_of_it_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of the pair may be gone from the population when the child's job is claimed."""
    search = make(strategy={"name": "large_scale_evolution", "population": 2}, parallelism=3)
    for accuracy in (0.5, 0.6):
        acted(next_job(search), accuracy)
    children = []
    for _ in range(3):
        children.append(next_job(search))
        claimed = job_claim(job_id=children[-1].pk, claim=0, worker="w")
        assert claimed is not None
    advance_search(search_id=search.pk)
    parents = {j.payload["init_from"]["trial"] for j in children if "init_from" in j.payload}
    assert parents and parents <= set(kept(search))
    conductor = load(Search.objects.get(pk=search.pk)).conductor
    assert parents <= conductor.keeps()


def test_a_full_training_does_not_take_the_weights_along(tmp_path: Path) -> None:
    search = make()
    acted(next_job(search), 0.5)
    parent = acted(next_job(search), 0.6)
    next_job(search)
    parent.refresh_from_db()
    final = trial_train_fully(trial=parent, by=user_make())
    claimed = job_claim(job_id=final.pk, claim=0, worker="w")
    assert claimed is not None
    name = default_storage.save(f"checkpoints/{search.pk}/{final.pk}-f.safetensors", ContentFile(b"f" * 10))
    assert job_checkpoint(job=claimed.job, claim=claimed.claim, name=name, digest="d", n_bytes=10)
    assert kept(search) == [2, 2]
    advance_search(search_id=search.pk)
    origin = origin_fetch(next_job(search), tmp_path)
    assert origin is not None and Path(origin["checkpoint"]).read_bytes() == b"x" * 1000
    assert job_failed(job=claimed.job, claim=claimed.claim, kind="crashed", message="no")
    assert kept(search) == [2], "the checkpoint of the full training went, the trial's own stayed"


@pytest.mark.parametrize("why", ["quota", "deleted"])
def test_what_is_gone_is_told_and_no_error(settings: Any, tmp_path: Path, why: str) -> None:
    search = make()
    acted(next_job(search), 0.5)
    parent = acted(next_job(search), 0.6)
    job = next_job(search)
    if why == "quota":
        settings.CHECKPOINT_QUOTA_MB = 0.0005
        assert checkpoints_reap() == 1 and kept(search) == []
    else:
        default_storage.delete(Artifact.objects.get(search=search, trial=parent).name)
    origin = origin_fetch(job, tmp_path)
    assert origin is not None and origin["checkpoint"] is None
    assert origin["architecture"] == Trial.objects.get(pk=parent.pk).architecture


def test_a_child_that_a_person_stops_leaves_nothing() -> None:
    search = make()
    for accuracy in (0.5, 0.6, 0.7):
        acted(next_job(search), accuracy)
    job = next_job(search)
    claimed = job_claim(job_id=job.pk, claim=0, worker="w")
    assert claimed is not None and claimed.trial is not None
    name = default_storage.save(f"checkpoints/{search.pk}/{job.pk}.safetensors", ContentFile(b"x"))
    assert job_checkpoint(job=claimed.job, claim=1, name=name, digest="d", n_bytes=1)
    trial_cancel(trial=claimed.trial, by=user_make())
    advance_search(search_id=search.pk)
    assert claimed.trial.number not in kept(search)


def test_rungs_that_are_stopped_early_may_still_be_parents() -> None:
    search = make(schedule={"name": "successive_halving"}, budget={"trials": 12, "epochs": 9}, parallelism=2)
    value = 0.4
    for _ in range(25):
        advance_search(search_id=search.pk)
        job = Job.objects.filter(search=search, state=Job.State.WAITING, kind="train").order_by("id").first()
        if job is None:
            break
        value += 0.01
        acted(job, value)
    conductor = load(Search.objects.get(pk=search.pk)).conductor
    open_or_kept = conductor.keeps() | {e.number for e in conductor.history if e.state in ("running", "paused")}
    assert set(kept(search)) <= open_or_kept
    assert inconsistencies(search=search) == []


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (CLIMB, "weights from #2 (function preserved)"),
        ({"name": "large_scale_evolution", "population": 2}, "tensors from #"),
    ],
)
def test_a_worker_gives_the_child_its_parents_weights(strategy: dict[str, Any], words: str) -> None:
    """Through real child processes: fetched, carried over, said in the log and in the report."""
    search = make(strategy=strategy, budget={"trials": 4, "epochs": 1}, final={"enabled": False}, seed=3)
    for _ in range(12):
        advance_search(search_id=search.pk)
        job = Job.objects.filter(search=search, state=Job.State.WAITING).first()
        if job is None:
            break
        run_job(job.pk, job.claim, worker="cpu-1")
    search.refresh_from_db()
    assert (search.state, search.n_completed) == ("completed", 4), search.reason
    heirs = [t for t in Trial.objects.filter(search=search) if t.proposal["init_from"]]
    assert len(heirs) == 2
    said = list(LogLine.objects.filter(search=search, what="weights").values_list("message", flat=True))
    assert len(said) == 2 and any(words in message for message in said), said
    for trial in heirs:
        assert trial.cost["inherited"]["trial"] == trial.proposal["init_from"]["trial"]
        assert trial.cost["inherited_epochs"] >= 1
    assert kept(search) == []
