"""Pieces of a weight-sharing search: launched, done in real children, told, copied, paused, ended."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.evaluation.base import Report
from searches.keptchildren import kept
from searches.models import Artifact, Job, LogEntry, Search, Subnet, SupernetEpoch, Trial
from searches.runner import run_job
from searches.selectors.checks import inconsistencies
from searches.selectors.trust import trust
from searches.services.advance import advance_search
from searches.services.conductors import load, shelf
from searches.services.jobs import job_claim, job_done, job_heartbeat, job_progress
from searches.services.lifecycle import (
    Rejected,
    search_cancel,
    search_delete,
    search_extend,
    search_finish,
    search_pause,
    search_resume,
)  # fmt: skip
from searches.services.supernets import is_sharing, supernet_enough
from tests.factories import search_make, user_make
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
SPACE = {"name": "nasbench201", "cells": 1, "channels": 4}
SPOS = {"name": "spos", "epochs": 2, "scores": 70, "batch_size": 256}
DARTS = {"name": "darts", "epochs": 2, "batch_size": 256}


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> Path:
    """Files of the storage go to a folder of the test."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    return Path(settings.MEDIA_ROOT)


@pytest.fixture(autouse=True)
def nobody_stays() -> Any:
    """No child outlives its test."""
    yield
    kept.drop()


def make(strategy: dict[str, Any] | None = None, **fields: Any) -> Search:
    usual = {
        "evaluator": {"name": "trained"}, "space": SPACE, "strategy": strategy or SPOS, "parallelism": 1,
        "budget": {"trials": 4, "epochs": 1}, "training": {"precision": "float32", "batch_size": 256},
    }  # fmt: skip
    return search_make(**{**usual, **fields})


def waiting(search: Search) -> Job | None:
    advance_search(search_id=search.pk)
    return Job.objects.filter(search=search, state=Job.State.WAITING).order_by("id").first()


def do(job: Job) -> Job:
    run_job(job.pk, job.claim, worker="w")
    job.refresh_from_db()
    return job


def acted(job: Job, rows: list[dict[str, Any]], **values: Any) -> None:
    """What a worker tells of a piece, without doing it."""
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None and claimed.trial is None
    report = Report(metrics={"accuracy": 0.5}, fidelity=job.fidelity, source="inherited", rows=tuple(rows), **values)
    assert job_done(job=claimed.job, claim=claimed.claim, report=report)


def trained(job: Job, accuracy: float) -> None:
    """What a worker tells of a trial, without training it."""
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None and job.kind == "train"
    report = Report(metrics={"accuracy": accuracy, "loss": 1.0}, fidelity=job.fidelity)
    assert job_done(job=claimed.job, claim=claimed.claim, report=report)


def cell(op: str, **others: str) -> dict[str, str]:
    return {f"edge{a}_{b}": op for a, b in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))} | others


def test_a_search_goes_through_all_its_pieces_in_real_children() -> None:
    search = make()
    assert is_sharing(search.config)
    supernet = waiting(search)
    assert supernet is not None and supernet.kind == "supernet" and supernet.trial is None and supernet.fidelity == 2
    do(supernet)
    assert supernet.state == "done" and [e.epoch for e in SupernetEpoch.objects.filter(job=supernet)] == [1, 2]
    assert Artifact.objects.get(search=search).kind == Artifact.Kind.SUPERNET
    assert len(kept._held) == 1, "its child stays for the scores"
    scores = []
    while (job := waiting(search)) is not None and job.kind == "score":
        scores.append(do(job))
        assert len(kept._held) == 1
    first = Subnet.objects.filter(search=search)
    assert [j.state for j in scores] == ["done"] * len(scores)
    assert [len(j.payload["architectures"]) for j in scores][:2] == [64, 6] and first.count() >= 70
    assert all(s.accuracy is not None and 0 <= s.accuracy <= 1 and s.supernet == 1 for s in first)
    while (job := waiting(search)) is not None:
        do(job)
    assert not kept._held, "a training needs the memory"
    search.refresh_from_db()
    trials = list(Trial.objects.filter(search=search).order_by("number"))
    assert [t.by for t in trials] == ["spos", "random"] * 2 and {t.state for t in trials} == {"completed"}
    assert trials[1].proposal["beside"] == 1 and trials[0].source == "trained"
    assert {t.key for t in trials} <= set(first.values_list("key", flat=True)), "all of them have both accuracies"
    best = max((s for s in first if s.piece <= 3), key=lambda s: s.accuracy or 0)
    assert trials[0].key == best.key
    assert search.state in ("finishing", "completed") and inconsistencies(search=search) == []
    assert Artifact.objects.filter(search=search, kind=Artifact.Kind.SUPERNET).exists(), "the weights stay"


def test_latency_is_measured_first_and_reaches_the_supernet_of_another_job() -> None:
    search = make({"name": "fbnet", "epochs": 1, "batch_size": 256})
    job = waiting(search)
    assert job is not None and job.kind == "measure"
    assert do(job).state == "done"
    rows = job.result["rows"]
    assert {r["option"] for r in rows if r["table"] == "edge0_1"} >= {"skip_connect", "nor_conv_3x3"}
    job = waiting(search)
    assert job is not None and job.kind == "supernet" and job.payload["latency"] == 1
    assert do(job).state == "done"
    assert SupernetEpoch.objects.get(job=job).row["latency_ms"] > 0


def test_a_supernet_begins_with_the_weights_of_an_earlier_one() -> None:
    owner = user_make()
    first = make(owner=owner)
    job = waiting(first)
    assert job is not None
    do(job)
    again = make({**SPOS, "start": Artifact.objects.get(search=first).digest}, owner=owner)
    job = waiting(again)
    assert job is not None
    cost = do(job).result["cost"]
    assert cost["inherited"] == cost["of"] > 50
    losses = [SupernetEpoch.objects.get(job__search=s, epoch=1).row["train_loss"] for s in (first, again)]
    assert losses[1] < losses[0]


def until_killed(job: Job, epochs: int) -> None:
    """A worker's child trains until so many epochs are stored with a checkpoint, and is killed there."""
    thread = threading.Thread(target=run_job, args=(job.pk, job.claim), kwargs={"worker": "w"})
    thread.start()

    def far() -> bool:
        job.refresh_from_db()
        return bool(job.checkpoint) and SupernetEpoch.objects.filter(job=job).count() >= epochs

    wait_until(far, "some epochs and a checkpoint are stored", timeout_s=90)
    trainings = [p for p in psutil.Process().children(recursive=True) if p.pid == os.getpgid(p.pid)]
    newest = max(trainings, key=lambda p: p.create_time())  # a child leads a group of its own
    newest.kill()
    thread.join(60)
    assert not thread.is_alive()
    job.refresh_from_db()


def test_a_supernet_whose_child_is_killed_goes_on_from_its_checkpoint_to_the_same_bits(settings: Any) -> None:
    strategy = {**SPOS, "epochs": 16}
    alone = make(strategy)
    job = waiting(alone)
    assert job is not None
    do(job)
    settings.CHECKPOINT_S = settings.PROGRESS_S = 0.0
    search = make(strategy)
    alone.refresh_from_db()
    assert alone.settings, "what the probe chose is the search's from the first piece on"
    Search.objects.filter(pk=search.pk).update(settings=alone.settings)
    job = waiting(search)
    assert job is not None
    until_killed(job, 3)
    assert (job.state, job.failures) == ("waiting", 1)
    assert do(job).state == "done"
    rows, expected = ([e.row for e in SupernetEpoch.objects.filter(job__search=s)] for s in (search, alone))
    assert [r["epoch"] for r in rows] == list(range(1, 17))
    assert [(r["train_loss"], r["accuracy"]) for r in rows] == [(r["train_loss"], r["accuracy"]) for r in expected]


def test_a_conductor_loaded_at_any_entry_goes_on_alike() -> None:
    search = make(DARTS)
    job = waiting(search)
    assert job is not None
    acted(job, [{"epoch": 1, "derived": cell("nor_conv_1x1")}, {"epoch": 2, "choices": [cell("nor_conv_3x3")]}])
    shelf.drop(search.pk)
    job = waiting(search)
    assert job is not None and job.kind == "score" and len(job.payload["architectures"]) == 4
    shelf.drop(search.pk)
    acted(job, [{"accuracy": 0.1 * i, "loss": 1.0} for i in range(4)])
    shelf.drop(search.pk)
    advance_search(search_id=search.pk)
    trial = Trial.objects.get(search=search)
    assert trial.architecture == cell("nor_conv_3x3") and trial.by == "darts"
    search.refresh_from_db()
    held = load(search)
    assert held.conductor.strategy.inherited and held.conductor.n_running == 1


def test_the_log_keeps_of_an_epoch_what_decides_and_no_tables() -> None:
    search = make(DARTS)
    job = waiting(search)
    assert job is not None
    tables = {"edge0_1": {"none": 0.5, "skip_connect": 0.5}}
    acted(job, [{"epoch": 1, "tables": tables, "derived": cell("nor_conv_1x1"), "choices": [cell("nor_conv_1x1")]}])
    (entry,) = LogEntry.objects.filter(search=search, kind="piece")
    assert set(entry.payload["report"]["rows"][0]) == {"epoch", "derived", "choices"}
    row = SupernetEpoch.objects.get(job=job).row
    assert row["tables"] == tables and "choices" not in row


def test_an_epoch_is_stored_once_whoever_reports_it() -> None:
    search = make()
    job = waiting(search)
    assert job is not None
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None
    for loss in (1.0, 2.0):
        assert job_progress(job=claimed.job, claim=claimed.claim, points=[{"epoch": 1, "train_loss": loss}])
    assert SupernetEpoch.objects.get(job=job).row["train_loss"] == 1.0


def test_pause_holds_a_piece_and_resume_lets_it_go() -> None:
    search = make()
    job = waiting(search)
    assert job is not None
    search_pause(search=search, by="b")
    job.refresh_from_db()
    assert job.state == Job.State.HELD
    search_resume(search=search, by="b")
    job.refresh_from_db()
    assert job.state == Job.State.WAITING
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None
    search_pause(search=search, by="b")
    assert job_heartbeat(job_id=job.pk, claim=claimed.claim) == "pause"


def test_enough_ends_a_training_after_its_epoch_and_only_one_that_runs() -> None:
    search = make()
    job = waiting(search)
    assert job is not None
    with pytest.raises(Rejected):
        supernet_enough(search=search, by="b")
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None
    supernet_enough(search=search, by="b")
    assert job_heartbeat(job_id=job.pk, claim=claimed.claim) == "enough"


@pytest.mark.parametrize("end", [search_finish, search_cancel])
def test_what_is_under_way_ends_with_the_search(end: Any) -> None:
    search = make()
    job = waiting(search)
    assert job is not None
    assert job_claim(job_id=job.pk, claim=job.claim, worker="w") is not None
    end(search=search, by="b")
    advance_search(search_id=search.pk)
    job.refresh_from_db()
    search.refresh_from_db()
    assert job.state == "cancelled" and search.ended and inconsistencies(search=search) == []


def test_a_piece_that_fails_ends_the_search_with_its_reason() -> None:
    search = make()
    job = waiting(search)
    assert job is not None
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None
    report = Report.failed("not_finite", "the supernet's loss is not finite in epoch 1")
    assert job_done(job=claimed.job, claim=claimed.claim, report=report)
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    assert search.state == "failed" and "not finite in epoch 1" in search.reason


def test_without_room_on_the_disk_a_supernet_waits_and_the_search_pauses() -> None:
    search = make()
    job = waiting(search)
    assert job is not None
    claimed = job_claim(job_id=job.pk, claim=job.claim, worker="w")
    assert claimed is not None
    assert job_done(job=claimed.job, claim=claimed.claim, report=Report.failed("disk_full", "the disk took no more"))
    job.refresh_from_db()
    search.refresh_from_db()
    assert (job.state, search.state) == ("held", "paused") and "Free some space" in search.reason


def continued() -> Search:
    """One pair more for a search that has ended; nothing was really trained."""
    search = make(DARTS, budget={"trials": 2, "epochs": 1}, final={"enabled": False})
    job = waiting(search)
    assert job is not None
    derived = [{"epoch": 1, "derived": cell("nor_conv_1x1")}, {"epoch": 2, "choices": [cell("nor_conv_3x3")]}]
    acted(job, derived)
    Job.objects.filter(pk=job.pk).update(checkpoint="checkpoints/supernet.safetensors")
    job = waiting(search)
    assert job is not None
    acted(job, [{"accuracy": 0.5}, {"accuracy": 0.4}])
    while (job := waiting(search)) is not None:
        trained(job, 0.5)
    search.refresh_from_db()
    assert search.ended, search.state
    return search_extend(search=search, by=search.owner, trials=2)


def test_a_continued_search_has_the_pieces_and_scores_its_new_pairs_with_the_same_weights() -> None:
    new = continued()
    job = waiting(new)
    new.refresh_from_db()
    assert new.origin is not None and new.state == "running" and Subnet.objects.filter(search=new).count() == 2
    assert job is not None and (job.kind, job.checkpoint) == ("score", "checkpoints/supernet.safetensors")
    acted(job, [{"accuracy": 0.3}, {"accuracy": 0.2}])
    assert waiting(new) is not None
    trials = list(Trial.objects.filter(search=new).order_by("number"))
    assert [t.by for t in trials] == ["darts", "random", "darts"] and trials[2].architecture == cell("nor_conv_1x1")
    assert Subnet.objects.get(search=new, key=trials[2].key).accuracy == 0.3
    search_delete(search=new, by="b")
    assert not Job.objects.filter(search_id=new.pk).exists() and not Subnet.objects.filter(search_id=new.pk).exists()


def test_a_continued_search_whose_supernet_is_gone_trains_its_new_pairs_and_says_so() -> None:
    """The file of the weights is not in the storage."""
    new = continued()
    while (job := waiting(new)) is not None and job.kind == "score":
        do(job)
    while (job := waiting(new)) is not None:
        trained(job, 0.6)
    trials = list(Trial.objects.filter(search=new).order_by("number"))
    assert [t.by for t in trials] == ["darts", "random"] * 2 and {t.state for t in trials} == {"completed"}
    panel = trust(new)
    assert panel.shared.n == 2 and "2 of 4 networks trained alone" in panel.missing and "gone" in panel.missing


def test_another_persons_supernet_is_no_start() -> None:
    mine = make()
    job = waiting(mine)
    assert job is not None
    do(job)
    digest = Artifact.objects.get(search=mine).digest
    other = make({**SPOS, "start": digest}, owner=user_make("somebody"))
    job = waiting(other)
    assert job is not None
    do(job)
    do(job)
    advance_search(search_id=other.pk)
    other.refresh_from_db()
    assert other.state == "failed" and "is not in the storage" in other.reason
