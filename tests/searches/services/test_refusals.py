"""An architecture that cannot be built becomes no trial: the reason stands in the log, the budget is untouched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import catalog
from engine.conductor import REFUSALS
from searches.models import Job, LogLine, Search, Trial
from searches.runner import run_job
from searches.selectors.checks import inconsistencies
from searches.services.advance import advance_search
from searches.services.conductors import shelf
from tests.factories import search_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
WHY = "a window of 3 does not fit into 1"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[None]:
    """The tests' own plug-ins, as a stack has them that names them in its environment."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    monkeypatch.setenv("NASWEB_PLUGINS", "tests.plugins")
    catalog.plugins.cache_clear()
    yield
    catalog.plugins.cache_clear()


def work(search: Search, *, forget: bool = False) -> Search:
    """What control and trial workers do, in this thread, until nothing is left; `forget`: from the log each time."""
    for _ in range(500):
        if forget:
            shelf.drop(search.pk)
        advance_search(search_id=search.pk)
        jobs = list(Job.objects.filter(search=search, state=Job.State.WAITING))
        for job in jobs:
            run_job(job.pk, job.claim, worker="here")
        if not jobs:
            break
    search.refresh_from_db()
    return search


def refusals(search: Search) -> list[str]:
    return list(LogLine.objects.filter(search=search, what="refused").values_list("message", flat=True))


@pytest.mark.parametrize("strategy", ["random", "stubborn", "regularized_evolution"])
def test_what_cannot_be_built_is_refused_before_it_is_a_trial(strategy: str) -> None:
    search = work(search_make(space="cramped", strategy=strategy, budget={"trials": 24, "epochs": 2}))
    assert (search.state, search.n_trials, search.n_completed, search.n_failed) == ("completed", 24, 24, 0)
    depths = set(Trial.objects.filter(search=search).values_list("architecture__depth", flat=True))
    assert depths == {3}, "half of the draws are deeper, and none of them became a trial"
    assert Job.objects.filter(search=search).count() == 24
    said = refusals(search)
    assert said and all("cannot be built" in m and WHY in m and "no cost to the budget" in m for m in said)
    assert len(said) < 10, "the log is not flooded"
    assert inconsistencies(search=search) == []


def test_the_same_trials_where_the_conductor_is_loaded_again_and_again() -> None:
    one, two = (
        work(search_make(space="cramped", strategy="stubborn", budget={"trials": 8, "epochs": 2}), forget=forget)
        for forget in (False, True)
    )
    assert one.state == two.state == "completed"
    assert list(one.trials.values_list("key", flat=True)) == list(two.trials.values_list("key", flat=True))
    assert refusals(one) == refusals(two)


def test_a_space_in_which_nothing_can_be_built_says_so() -> None:
    deep = {"name": "cramped", "depth": [5, 6]}
    search = work(search_make(space=deep, strategy="stubborn"))
    assert (search.state, search.n_trials) == ("failed", 0)
    assert f"{REFUSALS} proposals in a row were refused" in search.reason and WHY in search.reason
    search = work(search_make(space=deep, strategy="random"))
    assert (search.state, search.n_trials) == ("failed", 0)
    assert "cannot be built" in search.reason and WHY in search.reason
