"""A larger budget: on the same search while it lives, else on a new one that repeats nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from searches.models import Artifact, Job, LogEntry, Point, Search, Trial
from searches.runner import run_job
from searches.selectors.checks import inconsistencies
from searches.selectors.searches import searches_of
from searches.services import extending, finals, lifecycle
from searches.services.advance import advance_search
from searches.services.sweeping import copies_sweep
from searches.services.writing import Rejected
from tests.factories import search_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"


def work(search: Search) -> Search:
    """What control and trial workers do, in this thread, until nothing is left."""
    for _ in range(500):
        advance_search(search_id=search.pk)
        jobs = list(Job.objects.filter(search=search, state=Job.State.WAITING))
        for job in jobs:
            run_job(job.pk, job.claim, worker="here")
        if not jobs:
            break
    search.refresh_from_db()
    return search


def test_a_live_search_goes_on_itself() -> None:
    search = search_make()
    advance_search(search_id=search.pk)
    assert lifecycle.search_extend(search=search, by="mira", trials=3).pk == search.pk
    work(search)
    assert (search.state, search.n_trials) == ("completed", 9)
    assert inconsistencies(search=search) == []


def test_an_ended_search_goes_on_as_a_new_one_that_repeats_nothing() -> None:
    old = work(search_make())
    assert (old.state, old.n_trials) == ("completed", 6)
    proposed = list(old.trials.values_list("number", "key", "accuracy"))
    new = lifecycle.search_extend(search=old, by="mira", trials=4)
    assert (new.pk != old.pk, new.origin_id, new.relation) == (True, old.pk, "extended")
    work(new)
    assert (new.state, new.n_trials) == ("completed", 10)
    assert list(new.trials.filter(number__lte=6).values_list("number", "key", "accuracy")) == proposed
    assert new.trials.values("key").distinct().count() == 10
    assert Job.objects.filter(search=new, trial__number__lte=6).count() == 0
    assert inconsistencies(search=new) == inconsistencies(search=old) == []
    old.refresh_from_db()
    assert (old.state, old.n_trials) == ("completed", 6)


def test_a_full_training_is_taken_over_with_its_files() -> None:
    """The sealed test split is opened once for a trial, however often its search is continued."""
    old = work(search_make())
    trial = old.trials.get(number=2)
    trial.final_state, trial.final = Trial.FinalState.DONE, {"metrics": {"test_accuracy": 0.9, "n_test": 10}}
    trial.save()
    Point.objects.create(trial=trial, final=True, epoch=1, accuracy=0.8)
    name = default_storage.save("bundle/ab/abc.zip", ContentFile(b"zip"))
    Artifact.objects.create(search=old, trial=trial, kind="bundle", name=name, digest="abc", bytes=3)
    new = lifecycle.search_extend(search=old, by="mira", trials=1)
    taken = new.trials.get(number=2)
    assert (taken.final_state, taken.final["metrics"]["test_accuracy"]) == ("done", 0.9)
    assert taken.points.filter(final=True).count() == 1
    assert finals.finals_settled(new)
    assert new.trials.get(number=1).final_state == ""
    assert (taken.artifacts.get().name, new.disk_bytes) == (name, 3)
    lifecycle.search_delete(search=old, by="mira")
    assert default_storage.exists(name), "the other search still offers it"
    lifecycle.search_delete(search=new, by="mira")
    assert not default_storage.exists(name)


def test_a_cancelled_search_goes_on_with_what_was_under_way() -> None:
    old = search_make(parallelism=3)
    advance_search(search_id=old.pk)
    first = Job.objects.filter(search=old).earliest("id")
    run_job(first.pk, first.claim, worker="here")
    lifecycle.search_cancel(search=old, by="mira")
    new = lifecycle.search_extend(search=old, by="mira", trials=1)
    work(new)
    assert (new.state, new.n_completed, new.n_trials) == ("completed", 7, 7)
    assert inconsistencies(search=new) == []


def test_nothing_to_add_and_drafts_are_refused() -> None:
    search = search_make(start=False)
    with pytest.raises(Rejected, match="how many more"):
        lifecycle.search_extend(search=search, by="mira")
    with pytest.raises(Rejected, match="not been started"):
        lifecycle.search_extend(search=search, by="mira", trials=1)
    assert LogEntry.objects.filter(search=search).count() == 0


def test_a_search_whose_time_is_up_needs_more_of_it() -> None:
    old = work(search_make(budget={"trials": 6, "epochs": 4, "minutes": 1}))
    Search.objects.filter(pk=old.pk).update(ran_s=60.0)
    with pytest.raises(Rejected, match="more minutes"):
        lifecycle.search_extend(search=old, by="mira", trials=2)
    new = work(lifecycle.search_extend(search=old, by="mira", trials=2, minutes=5))
    assert (new.state, new.n_trials, new.extra_minutes) == ("completed", 8, 5.0)


def long_search(trials: int) -> Search:
    """An ended search with that many trials of three epochs, written at once."""
    old = work(search_make())
    template = old.trials.get(number=1)
    numbers = range(old.n_trials + 1, trials + 1)
    rows = Trial.objects.bulk_create(
        Trial(
            search=old, number=n, name="n", key=str(n), architecture=template.architecture, state="completed",
            proposal=template.proposal, accuracy=0.5, fidelity=4, epochs=4, target_epochs=4,
        ) for n in numbers
    )  # fmt: skip
    Point.objects.bulk_create(Point(trial=row, epoch=e, accuracy=0.5) for row in rows for e in (1, 2, 3))
    Search.objects.filter(pk=old.pk).update(n_trials=trials, n_completed=trials)
    old.refresh_from_db()
    return old


def test_a_long_history_is_copied_by_the_hundreds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements grow far slower than rows, and in no transaction more than one handful of trials is copied."""
    old = long_search(700)
    transactions: list[int] = []
    copy = extending.Trial.objects.bulk_create

    def counted(rows: Any, **options: Any) -> Any:
        transactions.append(len(rows))
        made = copy(rows, **options)
        hidden = Search.objects.get(pk=made[0].search_id)
        assert (hidden.state, hidden.origin_id) == ("draft", None)
        assert not searches_of(old.owner).filter(pk=hidden.pk).exists()
        assert len(connection.savepoint_ids) == 0, "its own transaction, not a part of a longer one"
        return made

    monkeypatch.setattr(extending.Trial.objects, "bulk_create", counted)
    with CaptureQueriesContext(connection) as made:
        new = lifecycle.search_extend(search=old, by="mira", trials=1)
    assert transactions == [200, 200, 200, 100]
    assert len(made) < 200
    assert (new.n_trials, new.n_completed, new.state) == (700, 700, "queued")
    assert Point.objects.filter(trial__search=new).count() == Point.objects.filter(trial__search=old).count() > 2_000
    rows = ("number", "key", "accuracy", "state", "epochs")
    assert list(new.trials.values_list(*rows)) == list(old.trials.values_list(*rows))
    assert inconsistencies(search=new) == []


def test_a_copy_cut_off_is_seen_by_nobody_and_swept_up(monkeypatch: pytest.MonkeyPatch) -> None:
    old = work(search_make())
    before = (Search.objects.count(), Trial.objects.count(), Point.objects.count(), LogEntry.objects.count())

    def crash(*args: Any) -> None:
        raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(extending, "_jobs_new", crash)
        with pytest.raises(RuntimeError):
            lifecycle.search_extend(search=old, by="mira", trials=2)
    left = Search.objects.get(submit_token__startswith=extending.COPYING)
    assert (left.state, left.trials.count()) == ("draft", 6)
    assert list(searches_of(old.owner)) == [old]
    assert copies_sweep() == 0, "it may be at work still"
    Search.objects.filter(pk=left.pk).update(created_at=Now() - timedelta(hours=2))
    assert copies_sweep() == 1
    assert before == (Search.objects.count(), Trial.objects.count(), Point.objects.count(), LogEntry.objects.count())
    new = work(lifecycle.search_extend(search=old, by="mira", trials=2))
    assert (new.state, new.n_trials) == ("completed", 8)
