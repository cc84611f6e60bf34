"""Full trainings: who may ask, once at a time, what is stored, and when a finishing search may complete."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage

from engine.config import SearchConfig
from engine.data import registry
from engine.evaluation.base import Failure, Report
from searches.models import Artifact, Event, Job, LogLine, Search, Trial
from searches.services import finals
from searches.services.jobs import job_claim, job_done
from searches.services.writing import writing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def search(settings: Any, tmp_path: Path) -> Search:
    """A search that has just decided, with trials 1 (completed), 2 (stopped early) and 3 (failed)."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    config = SearchConfig.parse({"name": "digits", "budget": {"trials": 3, "epochs": 2}})
    mira = get_user_model().objects.create_user("mira")
    made = Search.objects.create(
        owner=mira,
        name="digits",
        config=config.to_json(),
        data_spec=registry.spec("digits").model_dump(mode="json"),
        state=Search.State.FINISHING,
        reason="all 3 trials are done",
        decided=True,
        winners=[1],
        n_trials=3,
        n_completed=1,
        n_pruned=1,
        n_failed=1,
    )
    for number, state in ((1, "completed"), (2, "pruned"), (3, "failed")):
        Trial.objects.create(search=made, number=number, name="d1", state=state, architecture={}, key="", accuracy=0.9)
    return made


def trial(search: Search, number: int) -> Trial:
    return Trial.objects.select_related("search").get(search=search, number=number)


def report(folder: Path, **changes: Any) -> Report:
    (folder / "weights.safetensors").write_bytes(b"weights")
    values: dict[str, Any] = {
        "metrics": {"accuracy": 0.75, "test_accuracy": 0.5, "n_test": 8.0},
        "fidelity": 4,
        "correct": b"\xfc",
        "n_samples": 8,
        "curve": ({"epoch": 1, "accuracy": 0.5}, {"epoch": 2, "accuracy": 0.75}),
        "artifacts": {"weights": str(folder / "weights.safetensors")},
    }
    return Report(**{**values, **changes})


def run(job: Job, found: Report, bundle: dict[str, Any] | None) -> None:
    """What a worker does with a finished child."""
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="cpu-1")
    assert claimed is not None
    assert trial(job.search, claimed.trial.number).final_state == "running"
    stored = [] if found.failure else finals.final_store(report=found, bundle=bundle)
    assert job_done(job=claimed.job, claim=claimed.claim, report=found, bundle=bundle, stored=stored)


def test_asked_for_twice_it_is_one_job(search: Search) -> None:
    job = finals.trial_train_fully(trial=trial(search, 2), by=search.owner)
    assert job.kind == "final" and job.fidelity == 4  # twice the epochs of a trial
    assert finals.trial_train_fully(trial=trial(search, 2), by=search.owner) == job
    assert Job.objects.count() == 1
    assert trial(search, 2).final_state == "waiting"
    assert Event.objects.filter(kind="trial", data__number=2, data__final_state="waiting").exists()
    assert "mira" in LogLine.objects.get(what="final").message


def test_only_trials_that_ended_well_and_only_where_something_trains(search: Search) -> None:
    with pytest.raises(finals.FinalRefused, match="Trial 3 failed"):
        finals.trial_train_fully(trial=trial(search, 3))
    table = SearchConfig.parse(
        {"name": "t", "space": "nasbench201", "evaluator": {"name": "tabular"}, "strategy": "random"}
    )
    Search.objects.update(config=table.to_json())
    with pytest.raises(finals.FinalRefused, match="no data to train on"):
        finals.trial_train_fully(trial=trial(search, 1))
    assert not Job.objects.exists()


def test_its_seed_comes_from_the_searchs(search: Search) -> None:
    seeds = {finals.trial_train_fully(trial=trial(search, n)).payload["seed"] for n in (1, 2)}
    assert len(seeds) == 2
    Search.objects.update(config={**search.config, "seed": 1})
    Job.objects.all().delete()
    Trial.objects.update(final_state="")
    assert finals.trial_train_fully(trial=trial(search, 1)).payload["seed"] not in seeds


def test_done_it_completes_the_search_and_offers_the_bundle(search: Search, tmp_path: Path) -> None:
    config = SearchConfig.parse(search.config)
    with writing(search.pk) as write:
        assert finals.finals_start(write=write, config=config, winners=[1, 3]) == 1  # a failed trial is no winner
    assert not finals.finals_settled(search)
    (tmp_path / "bundle.zip").write_bytes(b"zip")
    bundle = {
        "path": str(tmp_path / "bundle.zip"),
        "ok": True,
        "reason": "",
        "checks": [{"name": "c", "ok": True, "detail": ""}],
        "sizes": {"model.py": 3},
        "duration_s": 1.0,
    }
    run(Job.objects.get(kind="final"), report(tmp_path), bundle)
    done = trial(search, 1)
    assert done.final_state == "done" and done.final_reason == ""
    assert done.final["metrics"]["test_accuracy"] == 0.5 and done.final["n_wrong"] == 2
    assert done.accuracy == 0.9  # what the search measured stays
    assert bytes(done.final_correct) == b"\xfc" and done.bundle_checks == bundle["checks"]
    assert list(done.points.filter(final=True).values_list("epoch", flat=True)) == [1, 2]
    stored = Artifact.objects.get(trial=done, kind="bundle")
    assert stored.digest == hashlib.sha256(b"zip").hexdigest() and stored.digest in stored.name
    assert default_storage.open(stored.name).read() == b"zip"
    search.refresh_from_db()
    assert search.state == "completed" and search.disk_bytes == len(b"zip") + len(b"weights")
    assert LogLine.objects.filter(what="test", message="opened once: 4 of 8 right").exists()


def test_a_failed_check_leaves_the_numbers_and_the_reason(search: Search, tmp_path: Path) -> None:
    finals.trial_train_fully(trial=trial(search, 1))
    checks = [{"name": "model.py against the trained network", "ok": False, "detail": "max difference 0.01"}]
    bundle = {"path": None, "ok": False, "reason": "no download, a check failed: x", "checks": checks, "sizes": {}}
    run(Job.objects.get(), report(tmp_path), bundle)
    done = trial(search, 1)
    assert done.final_state == "done" and done.final["metrics"]["test_accuracy"] == 0.5
    assert done.final_reason == "no download, a check failed: x"
    assert not Artifact.objects.filter(kind="bundle").exists()
    search.refresh_from_db()
    assert search.state == "completed" and "Trial 1: no download, a check failed: x" in search.reason


def test_a_failed_training_completes_the_search_says_why_and_can_be_tried_again(search: Search, tmp_path: Path) -> None:
    job = finals.trial_train_fully(trial=trial(search, 1))
    failed = report(tmp_path, metrics={}, failure=Failure("out_of_memory", "out of memory at batch size 64"))
    run(job, failed, None)
    done = trial(search, 1)
    assert done.final_state == "failed" and "out of memory at batch size 64" in done.final_reason
    search.refresh_from_db()
    assert search.state == "completed" and "no download: out of memory" in search.reason
    again = finals.trial_train_fully(trial=trial(search, 1))
    assert again.pk != job.pk and trial(search, 1).final_state == "waiting"
    assert trial(search, 1).final_reason == ""


def test_a_file_cut_off_by_a_crash_is_stored_again(search: Search, tmp_path: Path) -> None:
    found = report(tmp_path)
    first = finals.final_store(report=found, bundle=None)
    Path(default_storage.path(first[0].name)).write_bytes(b"wei")
    assert finals.final_store(report=found, bundle=None) == first
    assert default_storage.open(first[0].name).read() == b"weights"
