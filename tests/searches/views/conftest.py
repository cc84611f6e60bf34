"""People, workers and searches that the pages show."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from searches.forms import values as forms_values
from searches.forms.check import check
from searches.models import Search, Trial, Worker


def config_json(name="Digits", **changes):
    """A valid stored config."""
    found = check(forms_values.fresh() | {"name": name, "strategy": {"name": "regularized_evolution"}} | changes)
    assert found.ok, found.problems
    return found.config.to_json()


@pytest.fixture
def mira(db):
    return get_user_model().objects.create_user("mira")


@pytest.fixture
def jonas(db):
    return get_user_model().objects.create_user("jonas")


@pytest.fixture
def page(client, mira):
    """A browser in which mira is logged in."""
    client.force_login(mira)
    return client


@pytest.fixture
def worker(db):
    now = timezone.now()
    return Worker.objects.create(name="cpu-1", slots=2, joined_at=now, seen_at=now + timedelta(hours=1))


@pytest.fixture
def make(db):
    """Makes searches with trials: `make(mira, "Digits", accuracies=[0.9, 0.95])`."""

    def made(owner, name="Digits", *, state=Search.State.COMPLETED, accuracies=(), failed=0, age_min=5, **fields):
        now = timezone.now()
        config = fields.pop("config", None) or config_json(name)
        search = Search.objects.create(owner=owner, name=name, config=config, state=state, **fields)
        trials = [
            Trial(
                search=search,
                number=i,
                name=f"d3 conv{i}",
                state=Trial.State.COMPLETED,
                architecture={},
                key=str(i),
                accuracy=a,
                n_samples=360,
                n_wrong=round(360 * (1 - a)),
                ended_at=now + timedelta(seconds=i),
            )
            for i, a in enumerate(accuracies, 1)
        ]
        first = len(trials) + 1
        trials += [
            Trial(search=search, number=first + i, name="bad", state=Trial.State.FAILED, architecture={}, key=f"f{i}")
            for i in range(failed)
        ]
        Trial.objects.bulk_create(trials)
        done = [t for t in Trial.objects.filter(search=search) if t.accuracy is not None]
        search.best = max(done, key=lambda t: t.accuracy, default=None)
        search.n_trials, search.n_completed, search.n_failed = len(trials), len(accuracies), failed
        search.created_at = now - timedelta(minutes=age_min)
        search.started_at = None if state == Search.State.DRAFT else search.created_at
        if state == Search.State.RUNNING:
            search.running_since = search.created_at
        search.save()
        return search

    return made


@pytest.fixture
def seeded(mira):
    """Makes searches as the product leaves them: `seeded(n_trials=12, running=0, final=True)`, mira's by default."""
    from benchmarks._seed import seed_search

    def made(owner=mira, **options):
        return seed_search(**{"owner": owner, "n_trials": 12, "n_epochs": 6, "running": 0, **options})

    return made


@pytest.fixture
def n_queries(page):
    """How many queries an address takes: `n_queries("/searches/1/")`."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def counted(address):
        with CaptureQueriesContext(connection) as found:
            response = page.get(address)
            if response.streaming:
                list(response)
        assert response.status_code == 200, address
        return len(found)

    return counted


@pytest.fixture
def sharing(mira):
    """Makes weight-sharing searches as the product leaves them: `sharing(method="spos", stage="trials")`, mira's."""
    from benchmarks._seed_supernet import seed_supernet

    def made(owner=mira, **options):
        return seed_supernet(**{"owner": owner, "epochs": 12, "scores": 20, **options})

    return made


@pytest.fixture
def samples():
    """Texts, signals and tables on this machine: some families and presets are offered for these alone."""
    from engine.data import store

    if not (store.samples_folder() / "text").is_dir():
        pytest.skip("no sample data: NASWEB_TEST_DATA")
