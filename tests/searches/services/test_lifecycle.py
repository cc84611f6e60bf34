"""What people do to searches, and what the reaper does for time; in one process, with the real services."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone

from engine.evaluation.base import Report
from searches.models import Artifact, Event, Job, LogEntry, Search, Trial
from searches.selectors.checks import counts_recomputed, inconsistencies
from searches.services import enqueue, lifecycle
from searches.services.advance import advance_search
from searches.services.checkpoints import checkpoint_fetch, checkpoint_store
from searches.services.jobs import job_checkpoint, job_claim, job_done, job_handed_back, job_heartbeat
from searches.services.reap import EVENTS_KEPT, deadlines_reap, events_reap, searches_reap
from searches.services.writing import Rejected, writing
from tests.factories import config_make, search_make, user_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Messages that would have been sent; files of the storage go to a folder of the test."""
    settings.MEDIA_ROOT = tmp_path / "files"
    out: list[tuple[str, tuple[int, ...]]] = []

    def send(name: str, args: tuple[int, ...], queue: str) -> bool:
        out.append((name.rsplit(".", 1)[1], args))
        return True

    monkeypatch.setattr(enqueue, "_send", send)
    return out


def started(**fields: Any) -> Search:
    search = search_make(**fields)
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    return search


def claim_one(search: Search, rng: random.Random | None = None) -> Any:
    """Claims a waiting job; the first, or one drawn."""
    jobs = list(Job.objects.filter(search=search, state="waiting").order_by("id"))
    if not jobs:
        return None
    job = rng.choice(jobs) if rng else jobs[0]
    return job_claim(job_id=job.pk, claim=job.claim, worker="w")


def report(claimed: Any, accuracy: float | None = None) -> Report:
    value = int(claimed.trial.key[:6], 16) / 0xFFFFFF if accuracy is None else accuracy
    return Report(metrics={"accuracy": value}, fidelity=claimed.job.fidelity, source="table")


def done(claimed: Any, accuracy: float | None = None) -> None:
    assert job_done(job=claimed.job, claim=claimed.claim, report=report(claimed, accuracy))


def act(action: str, search: Search) -> None:
    getattr(lifecycle, f"search_{action}")(search=search, by="ada")


def test_second_press_of_start_finds_the_first_search() -> None:
    owner, config = user_make(), config_make()
    first = lifecycle.search_create(owner=owner, config=config, start=True, submit_token="t")
    second = lifecycle.search_create(owner=owner, config=config, start=True, submit_token="t")
    assert first.pk == second.pk and Search.objects.count() == 1
    assert LogEntry.objects.filter(search=first).count() == 1


def test_a_crash_between_storing_and_starting_leaves_nothing(monkeypatch: pytest.MonkeyPatch, sent: list[Any]) -> None:
    owner, config = user_make(), config_make()

    def crash(search: Search, by: Any) -> None:
        real(search=search, by=by)
        raise RuntimeError("the power is gone")

    real = lifecycle.search_start
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(lifecycle, "search_start", crash)
        lifecycle.search_create(owner=owner, config=config, start=True, submit_token="t")
    assert (Search.objects.count(), LogEntry.objects.count(), Event.objects.count(), sent) == (0, 0, 0, [])
    first = lifecycle.search_create(owner=owner, config=config, start=True, submit_token="t")
    second = lifecycle.search_create(owner=owner, config=config, start=True, submit_token="t")
    assert (first.state, second.pk) == ("queued", first.pk) and sent == [("advance_search", (first.pk,))]


def test_another_persons_token_is_no_second_press() -> None:
    lifecycle.search_create(owner=user_make(), config=config_make(), start=True, submit_token="t")
    with pytest.raises(IntegrityError):
        lifecycle.search_create(owner=user_make(), config=config_make(), start=True, submit_token="t")
    assert Search.objects.count() == 1


def test_start_is_one_entry_one_message_and_queued(sent: list[Any]) -> None:
    search = search_make()
    assert search.state == "queued" and sent == [("advance_search", (search.pk,))]
    with pytest.raises(Rejected, match="queued"):
        act("start", search)


def test_redis_away_changes_nothing_but_the_moment(monkeypatch: pytest.MonkeyPatch, sent: list[Any]) -> None:
    sending = enqueue._send
    monkeypatch.setattr(enqueue, "_send", lambda *a: False)
    search = search_make()
    assert search.state == "queued" and sent == []
    monkeypatch.setattr(enqueue, "_send", sending)
    assert searches_reap() == 1 and sent == [("advance_search", (search.pk,))]


REFUSED = {
    "draft": {"pause", "resume", "finish", "cancel"},
    "queued": {"start", "resume", "archive"},
    "running": {"start", "resume", "archive"},
    "paused": {"start", "pause", "archive"},
    "finishing": {"start", "pause", "resume", "finish", "archive"},
    "completed": {"start", "pause", "resume", "finish", "cancel"},
    "stopped": {"start", "pause", "resume", "finish", "cancel"},
    "failed": {"start", "pause", "resume", "finish", "cancel"},
}


@pytest.mark.parametrize("state", list(REFUSED))
def test_what_is_refused_in_each_state(state: str) -> None:
    search = search_make(start=False)
    for action in ("start", "pause", "resume", "finish", "cancel", "archive"):
        Search.objects.filter(pk=search.pk).update(state=state, archived=False)
        before = (LogEntry.objects.count(), Event.objects.count())
        if action in REFUSED[state]:
            with pytest.raises(Rejected, match=state):
                act(action, search)
            assert (LogEntry.objects.count(), Event.objects.count()) == before
            assert Search.objects.get(pk=search.pk).state == state
        else:
            act(action, search)
            assert Event.objects.count() > before[1]


def test_pause_holds_and_resume_sends(sent: list[Any]) -> None:
    search = started(parallelism=3)
    running = claim_one(search)
    act("pause", search)
    assert job_heartbeat(job_id=running.job.pk, claim=1) == "pause"
    assert {j.state for j in Job.objects.filter(search=search).exclude(pk=running.job.pk)} == {"held"}
    advance_search(search_id=search.pk)
    assert claim_one(search) is None
    assert job_handed_back(job=running.job, claim=1, reason="pause")
    search.refresh_from_db()
    assert (search.state, search.n_paused, search.n_waiting) == ("paused", 1, 2)
    assert search.running_since is None and search.ran_s >= 0
    sent.clear()
    act("resume", search)
    jobs = Job.objects.filter(search=search).order_by("id")
    assert [m for m in sent if m[0] == "run_job"] == [("run_job", (j.pk, j.claim)) for j in jobs]
    search.refresh_from_db()
    assert (search.state, search.n_paused, search.n_waiting) == ("running", 0, 3)
    assert inconsistencies(search=search) == []


def test_resume_before_the_child_has_handed_back() -> None:
    search = started(parallelism=1)
    running = claim_one(search)
    act("pause", search)
    act("resume", search)
    assert job_heartbeat(job_id=running.job.pk, claim=1) == ""
    assert job_handed_back(job=running.job, claim=1, reason="pause")  # it had heard of the pause already
    again = claim_one(search)
    assert again is not None and (again.job.failures, again.job.losses) == (0, 0)


def test_a_result_while_paused_is_told_and_starts_nothing() -> None:
    search = started(parallelism=2)
    running = claim_one(search)
    act("pause", search)
    done(running)
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    assert (search.state, search.n_trials, search.n_completed) == ("paused", 2, 1)


def test_cancel_ends_everything_and_late_results_are_rejected() -> None:
    search = started(parallelism=3)
    running = claim_one(search)
    act("cancel", search)
    assert job_heartbeat(job_id=running.job.pk, claim=1) == "lost"
    assert not job_done(job=running.job, claim=1, report=report(running))
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    assert (search.state, search.n_cancelled, search.n_running) == ("stopped", 3, 0) and search.ended_at
    assert inconsistencies(search=search) == []


def test_finish_keeps_the_best() -> None:
    search = started(parallelism=2)
    done(claim_one(search), 0.7)
    advance_search(search_id=search.pk)
    act("finish", search)
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    assert (search.state, search.winners) == ("completed", [1]) and search.best is not None
    assert search.best.accuracy == 0.7 and search.n_cancelled == 2
    assert inconsistencies(search=search) == []


def test_minutes_run_by_the_running_time() -> None:
    search = started(budget={"trials": 100, "epochs": 4, "minutes": 5})
    done(claim_one(search))
    assert deadlines_reap() == 0
    Search.objects.filter(pk=search.pk).update(running_since=Now() - timedelta(minutes=4), ran_s=30.0)
    assert deadlines_reap() == 0
    lifecycle.search_extend(search=search, by="ada", minutes=1.0)
    Search.objects.filter(pk=search.pk).update(running_since=Now() - timedelta(minutes=5), ran_s=30.0)
    assert deadlines_reap() == 0
    Search.objects.filter(pk=search.pk).update(running_since=Now() - timedelta(minutes=6))
    assert deadlines_reap() == 1 and deadlines_reap() == 0
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    assert search.state == "completed" and "time is up" in search.reason


def test_cancelled_trial_makes_room() -> None:
    search = started(parallelism=1)
    running = claim_one(search)
    lifecycle.trial_cancel(trial=running.trial, by="ada")
    assert not job_done(job=running.job, claim=1, report=report(running))
    with pytest.raises(Rejected):
        lifecycle.trial_cancel(trial=running.trial, by="ada")
    advance_search(search_id=search.pk)
    assert list(Trial.objects.filter(search=search).values_list("number", "state")) == [
        (1, "cancelled"), (2, "waiting"),
    ]  # fmt: skip
    assert inconsistencies(search=search) == []


def test_checkpoints_follow_their_trial(tmp_path: Path) -> None:
    rungs = {"name": "successive_halving"}
    search = started(parallelism=1, schedule=rungs, budget={"trials": 4, "epochs": 9})
    claimed = claim_one(search)
    file = tmp_path / "c.safetensors"
    for text in ("one", "two"):
        file.write_text(text)
        stored = checkpoint_store(claimed.job, claimed.claim, file)
        assert job_checkpoint(job=claimed.job, claim=1, name=stored.name, digest=stored.digest, n_bytes=stored.bytes)
    assert Artifact.objects.filter(search=search).count() == 1  # the one before is gone
    search.refresh_from_db()
    assert search.disk_bytes == 3
    found = checkpoint_fetch(stored.name, tmp_path / "back")
    assert found is not None and found.read_text() == "two"
    job_handed_back(job=claimed.job, claim=1, reason="drain")
    again = claim_one(search)
    assert again.job.checkpoint == stored.name
    act("cancel", search)
    assert not default_storage.exists(stored.name) and Artifact.objects.count() == 0
    assert checkpoint_fetch(stored.name, tmp_path / "none") is None
    search.refresh_from_db()
    assert search.disk_bytes == 0


def test_delete_leaves_nothing_but_what_others_share() -> None:
    keep, gone = started(), started()
    for search, name in ((keep, "bundle/shared.zip"), (gone, "bundle/shared.zip"), (gone, "bundle/own.zip")):
        if not default_storage.exists(name):
            default_storage.save(name, ContentFile(b"zip"))
        Artifact.objects.create(search=search, kind="bundle", name=name, digest="d", bytes=3)
    running = claim_one(gone)
    act("delete", gone)
    assert list(Search.objects.values_list("id", flat=True)) == [keep.pk]
    assert set(Event.objects.values_list("search_id", flat=True)) == {keep.pk}
    assert default_storage.exists("bundle/shared.zip") and not default_storage.exists("bundle/own.zip")
    assert not job_done(job=running.job, claim=1, report=report(running))
    assert job_heartbeat(job_id=running.job.pk, claim=1) == "lost"


def test_old_events_go_the_newest_stay() -> None:
    search = search_make(start=False)
    for start in range(0, EVENTS_KEPT + 100, 1_000):
        with writing(search.pk) as write:
            for n in range(min(1_000, EVENTS_KEPT + 100 - start)):
                write.event("log", {"n": n})
    assert events_reap() == 100 and events_reap() == 0
    assert Event.objects.order_by("seq").values_list("seq", flat=True).first() == 101
    assert inconsistencies(search=search) == []


def test_a_clock_that_jumps_makes_no_negative_time() -> None:
    search = started()
    Search.objects.filter(pk=search.pk).update(running_since=timezone.now() + timedelta(hours=1))
    act("pause", search)
    search.refresh_from_db()
    assert search.ran_s == 0.0


REPLAY = """
import json, sys
from engine.conductor import Conductor
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.log import Start, entry_from_json
given = json.load(sys.stdin)
conductor = Conductor.from_config(SearchConfig.parse(given["config"]), DataSpec.model_validate(given["data"]))
out = []
for entry in given["log"]:
    conductor.observe(entry_from_json(entry))
    out += [a.proposal.architecture.choices for a in conductor.next_actions() if isinstance(a, Start)]
json.dump(out, sys.stdout)
"""


@pytest.mark.parametrize("strategy", ["regularized_evolution", "local_search"])
def test_a_fresh_process_proposes_the_same_from_results_and_edits_alone(strategy: str) -> None:
    search = started(strategy=strategy, parallelism=4, budget={"trials": 24, "epochs": 4}, seed=11)
    rng, busy, step = random.Random(3), [], 0
    edits = {6: "pause", 8: "resume"}
    while not Search.objects.get(pk=search.pk).ended:
        step += 1
        if step in edits:
            act(edits[step], search)
        if step == 10:
            lifecycle.search_extend(search=search, by="ada", trials=4)
        if step == 12:
            trial = Trial.objects.filter(search=search, state__in=["waiting", "running"]).order_by("number").last()
            assert trial is not None
            lifecycle.trial_cancel(trial=trial, by="ada")
            busy = [c for c in busy if c.trial.pk != trial.pk]
        while (claimed := claim_one(search, rng)) is not None:
            busy.append(claimed)
        if busy:
            done(busy.pop(rng.randrange(len(busy))))
        if rng.random() < 0.6 or not busy:
            advance_search(search_id=search.pk)
    search.refresh_from_db()
    assert (search.state, search.n_trials) == ("completed", 28)
    assert counts_recomputed(search=search)["n_cancelled"] == 1
    given = {
        "config": search.config,
        "data": search.data_spec,
        "log": list(LogEntry.objects.filter(search=search).order_by("number").values_list("payload", flat=True)),
    }
    answer = subprocess.run(
        [sys.executable, "-c", REPLAY], input=json.dumps(given), capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == list(
        Trial.objects.filter(search=search).order_by("number").values_list("architecture", flat=True)
    )
