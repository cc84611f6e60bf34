"""Claims, leases, fencing, the reaper and snapshots, with concurrent processes; on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now

from engine.evaluation.base import Report
from searches.models import Claim, Event, Job, LogEntry, Search, Snapshot, Trial
from searches.selectors.checks import inconsistencies
from searches.services import enqueue
from searches.services.advance import advance_search
from searches.services.conductors import shelf
from searches.services.jobs import (
    MAX_LOSSES,
    job_checkpoint,
    job_child_died,
    job_claim,
    job_done,
    job_handed_back,
    job_heartbeat,
    job_progress,
)
from searches.services.reap import leases_reap, messages_reap
from tests.factories import search_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
PROCESSES = 4


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[int, ...]]]:
    """Messages that would have been sent."""
    out: list[tuple[str, tuple[int, ...]]] = []

    def send(name: str, args: tuple[int, ...], queue: str) -> bool:
        out.append((name.rsplit(".", 1)[1], args))
        return True

    monkeypatch.setattr(enqueue, "_send", send)
    return out


def together(work: Callable[[int], Any], n: int = PROCESSES) -> list[Any]:
    """Runs `work(i)` in `n` forked processes at the same moment; their answers."""
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(n), context.SimpleQueue()

    def run(i: int) -> None:
        for alias in connections:
            connections[alias].connection = None  # the parent's, not ours to close
        barrier.wait(20)
        answers.put((i, work(i)))

    connections.close_all()
    processes = [context.Process(target=run, args=(i,)) for i in range(n)]
    for process in processes:
        process.start()
    got = dict(answers.get() for _ in processes)
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    return [got[i] for i in range(n)]


def started(**fields: Any) -> tuple[Search, list[Job]]:
    search = search_make(**fields)
    advance_search(search_id=search.pk)
    return search, list(Job.objects.filter(search=search).order_by("id"))


def expire(job_id: int) -> None:
    Job.objects.filter(pk=job_id).update(lease_until=Now() - timedelta(seconds=1))


REPORT = Report(metrics={"accuracy": 0.5}, fidelity=4, source="table")


def test_one_of_many_gets_the_job() -> None:
    search, jobs = started(parallelism=3)

    def work(i: int) -> list[int]:
        claims = [job_claim(job_id=job.pk, claim=0, worker=f"w{i}") for job in jobs for _ in range(3)]
        return [c.job.pk for c in claims if c is not None]

    got = [job_id for mine in together(work) for job_id in mine]
    assert sorted(got) == [job.pk for job in jobs]
    assert Claim.objects.filter(search=search).count() == len(jobs)
    assert inconsistencies(search=search) == []
    search.refresh_from_db()
    assert search.n_running == 3


def test_events_have_no_gaps_and_counters_are_right_whoever_writes() -> None:
    search, _ = started(parallelism=8, budget={"trials": 8, "epochs": 4})

    def work(i: int) -> int:
        done = 0
        for job in Job.objects.filter(search_id=search.pk).order_by("id")[i::PROCESSES]:
            claimed = job_claim(job_id=job.pk, claim=0, worker=f"w{i}")
            assert claimed is not None
            for epoch in range(1, 5):
                point = {"epoch": epoch, "accuracy": 0.1 * epoch}
                assert job_progress(job=claimed.job, claim=1, progress={"epoch": epoch}, points=[point])
            done += job_done(job=claimed.job, claim=1, report=REPORT)
        return done

    assert sum(together(work)) == 8
    assert inconsistencies(search=search) == []
    seqs = list(Event.objects.filter(search=search).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_lost_claim_cannot_write() -> None:
    search, (job, *_) = started()
    first = job_claim(job_id=job.pk, claim=0, worker="slow")
    assert first is not None
    expire(job.pk)
    assert leases_reap() == 1
    second = job_claim(job_id=job.pk, claim=1, worker="quick")
    assert second is not None and second.claim == 2
    before = Event.objects.filter(search=search).count()
    assert job_heartbeat(job_id=job.pk, claim=1) == "lost"
    assert not job_progress(job=first.job, claim=1, progress={"epoch": 3}, points=[{"epoch": 3, "accuracy": 0.9}])
    assert not job_checkpoint(job=first.job, claim=1, name="x", digest="d", n_bytes=1)
    assert not job_handed_back(job=first.job, claim=1, reason="drain")
    assert not job_child_died(job=first.job, claim=1, reason="gone")
    assert not job_done(job=first.job, claim=1, report=REPORT)
    assert Event.objects.filter(search=search).count() == before
    assert job_heartbeat(job_id=job.pk, claim=2) == ""
    assert job_done(job=second.job, claim=2, report=REPORT)
    assert not job_done(job=second.job, claim=2, report=REPORT)  # once
    trial = Trial.objects.get(pk=job.trial_id)
    assert trial.worker == "quick" and trial.state == "completed" and trial.points.count() == 0
    assert [c.outcome for c in Claim.objects.filter(job=job)] == ["lost", "done"]


def test_many_reapers_count_one_loss() -> None:
    search, jobs = started(parallelism=3)
    for job in jobs:
        job_claim(job_id=job.pk, claim=0, worker="gone")
        expire(job.pk)
    assert sum(together(lambda i: leases_reap())) == 3
    assert set(Job.objects.filter(search=search).values_list("losses", "state", "claim")) == {(1, "waiting", 1)}
    assert inconsistencies(search=search) == []


def test_a_live_lease_is_left_alone() -> None:
    _, (job, *_) = started()
    job_claim(job_id=job.pk, claim=0, worker="w")
    assert leases_reap() == 0
    expire(job.pk)
    assert job_heartbeat(job_id=job.pk, claim=1) == ""  # late, but nobody has taken it
    assert leases_reap() == 0


def test_five_lost_workers_end_the_trial() -> None:
    search, (job, *_) = started()
    for claim in range(MAX_LOSSES):
        assert job_claim(job_id=job.pk, claim=claim, worker=f"w{claim}") is not None
        expire(job.pk)
        assert leases_reap() == 1
    job.refresh_from_db()
    trial = Trial.objects.get(pk=job.trial_id)
    assert (job.state, job.losses, job.failures) == ("failed", MAX_LOSSES, 0)
    assert (trial.state, trial.failure_kind) == ("failed", "worker_lost")
    assert LogEntry.objects.filter(search=search, kind="result").count() == 1


def test_lost_messages_are_sent_again(monkeypatch: pytest.MonkeyPatch, sent: list[Any]) -> None:
    from searches.services import reap

    _, jobs = started(parallelism=3)
    Job.objects.update(enqueued_at=Now() - timedelta(seconds=3600))
    sent.clear()
    monkeypatch.setattr(reap, "queue_length", lambda: 3)
    assert messages_reap() == 0  # a long queue is no loss
    monkeypatch.setattr(reap, "queue_length", lambda: None)
    assert messages_reap() == 0  # nobody knows
    monkeypatch.setattr(reap, "queue_length", lambda: 1)
    assert messages_reap() == 3
    assert sent == [("run_job", (job.pk, 0)) for job in jobs]
    assert messages_reap() == 0  # not again so soon


def test_many_control_workers_decide_once() -> None:
    search, _ = started(parallelism=4, budget={"trials": 12, "epochs": 4}, strategy="regularized_evolution")
    shelf.drop(search.pk)

    def work(i: int) -> int:
        for _ in range(200):
            done = advance_search(search_id=search.pk)
            rows = list(Job.objects.filter(search_id=search.pk, state="waiting").values_list("id", "claim"))
            for job_id, claim in rows:
                claimed = job_claim(job_id=job_id, claim=claim, worker=f"w{i}")
                if claimed is not None:
                    job_done(job=claimed.job, claim=claimed.claim, report=REPORT)
            search_now = Search.objects.get(pk=search.pk)
            if search_now.ended:
                return done
        raise AssertionError("it does not end")

    together(work)
    search.refresh_from_db()
    assert search.state == "completed", search.reason
    assert search.n_trials == search.n_completed == 12
    assert inconsistencies(search=search) == []
    assert Trial.objects.filter(search=search).values("key").distinct().count() == 12


@pytest.mark.parametrize("every", [1, 5, 10_000])
def test_restarts_change_nothing(settings: Any, every: int) -> None:
    settings.SNAPSHOT_EVERY = every
    fields: dict[str, Any] = {
        "parallelism": 4, "budget": {"trials": 20, "epochs": 9}, "strategy": "regularized_evolution",
        "schedule": "successive_halving", "seed": 7,
    }  # fmt: skip
    runs = []
    for restart in (False, True):
        search, _ = started(**fields)
        order = 0
        while not Search.objects.get(pk=search.pk).ended:
            waiting = list(Job.objects.filter(search=search, state="waiting").order_by("id").values_list("id", "claim"))
            job_id, claim = waiting[(order * 7) % len(waiting)]  # not in the order of their making
            order += 1
            claimed = job_claim(job_id=job_id, claim=claim, worker="w")
            assert claimed is not None and claimed.trial is not None
            value = int(claimed.trial.key[:6], 16) / 0xFFFFFF * claimed.job.fidelity / 9
            report = Report(metrics={"accuracy": value}, fidelity=claimed.job.fidelity, source="table")
            assert job_done(job=claimed.job, claim=claimed.claim, report=report)
            if restart:
                shelf.drop(search.pk)  # what a fresh process knows: nothing but the rows
            advance_search(search_id=search.pk)
        assert inconsistencies(search=search) == []
        assert Snapshot.objects.filter(search=search).count() <= 2
        columns = ("number", "key", "seed", "state", "parents", "fidelity")
        runs.append(list(Trial.objects.filter(search=search).order_by("number").values_list(*columns)))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 20
