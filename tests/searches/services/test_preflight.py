"""Preflights: what is measured, how it is read, and that their drafts go away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from engine.config import SearchConfig
from engine.data import registry
from engine.errors import NotOffered
from engine.spaces.base import make_space
from searches.models import Job, Search, Worker
from searches.selectors.preflight import estimate, preflight_status
from searches.services.preflight import drafts_sweep, expected_epochs, preflight_request, sampled

pytestmark = pytest.mark.django_db(transaction=True)


def config(**changes: Any) -> SearchConfig:
    return SearchConfig.parse({"name": "digits", "budget": {"trials": 30, "epochs": 18}, **changes})


@pytest.fixture
def mira() -> Any:
    return get_user_model().objects.create_user("mira")


def test_the_smallest_and_the_largest_within_the_limits_are_measured(mira: Any) -> None:
    limited = config(limits={"n_macs": 1_000_000})
    search = preflight_request(owner=mira, config=limited)
    job = Job.objects.get(search=search, kind="preflight", state="waiting")
    space = make_space(limited, registry.spec("digits"))
    small, large = (space.validate(a["choices"]) for a in job.payload["architectures"])
    macs = job.payload["n_macs"]
    assert macs == sorted(macs) and len(macs) > 20
    assert (space.costs(small).n_macs, space.costs(large).n_macs) == (macs[0], macs[-1])
    assert macs[-1] <= 1_000_000
    assert search.state == "draft" and preflight_status(search=search)["state"] == "waiting"


def test_the_same_seed_samples_the_same_networks() -> None:
    space = make_space(config(), registry.spec("digits"))
    assert sampled(space, config()) == sampled(space, config())
    assert sampled(space, config(seed=1)) != sampled(space, config())


def test_limits_that_nothing_meets_are_refused_with_the_smallest(mira: Any) -> None:
    with pytest.raises(NotOffered, match=r"n_params at most 10, least [\d,]+"):
        preflight_request(owner=mira, config=config(limits={"n_params": 10}))
    assert not Search.objects.exists()


def test_a_table_needs_none(mira: Any) -> None:
    with pytest.raises(NotOffered, match="nothing to measure"):
        preflight_request(
            owner=mira, config=config(space="nasbench201", evaluator={"name": "tabular"}, strategy="random")
        )


def test_asking_again_for_the_same_is_one_and_for_another_drops_the_first(mira: Any) -> None:
    first = preflight_request(owner=mira, config=config())
    assert preflight_request(owner=mira, config=config()) == first
    other = preflight_request(owner=mira, config=config(seed=3))
    assert other != first
    assert list(Job.objects.order_by("id").values_list("state", flat=True)) == ["cancelled", "waiting"]
    jonas = get_user_model().objects.create_user("jonas")
    assert preflight_request(owner=jonas, config=config(seed=3)) != other
    assert Job.objects.filter(state="waiting").count() == 2


def test_drafts_of_yesterday_go_and_a_persons_own_stay(mira: Any) -> None:
    preflight_request(owner=mira, config=config())
    own = Search.objects.create(owner=mira, name="mine", config=config().to_json())
    assert drafts_sweep() == 0
    Search.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert drafts_sweep() == 1
    assert list(Search.objects.all()) == [own]


def test_expected_epochs_follow_the_rungs() -> None:
    assert expected_epochs(config()) == 18
    halving = config(schedule={"name": "successive_halving", "eta": 3, "min_epochs": 2})
    assert expected_epochs(halving) == pytest.approx(2 + 4 / 3 + 12 / 9)


def test_the_estimate_in_words() -> None:
    payload = {"n_macs": [100, 200, 300]}
    networks = [{"epoch_s": 0.1, "memory_bytes": 198e6}, {"epoch_s": 1.9, "memory_bytes": 341e6}]
    found = estimate(config(), payload, {"cost": {"networks": networks}}, slots=2)
    # 30 trials of 18 epochs at 1 s on average and 0.3 s beside it, two at a time
    assert found["search_s"] == pytest.approx(30 * 18.3 / 2)
    assert found["final_s"] == pytest.approx(36)
    assert found["lines"] == [
        "about 4:34, then 0:36 for the winner.",
        "Smallest sampled network 0.1 s an epoch and 198 MB, largest 1.9 s and 341 MB.",
    ]
    alone = estimate(config(), payload, {"cost": {"networks": networks}}, slots=1)
    assert alone["search_s"] == pytest.approx(2 * found["search_s"])
    hurried = config(budget={"trials": 30, "epochs": 18, "minutes": 2})
    short = estimate(hurried, payload, {"cost": {"networks": networks}}, slots=1)
    assert short["search_s"] == 120 and "limit of minutes" in short["lines"][0]


def test_status_of_a_finished_and_of_a_failed_one(mira: Any) -> None:
    now = timezone.now()
    Worker.objects.create(name="cpu-1", slots=2, joined_at=now, seen_at=now)
    search = preflight_request(owner=mira, config=config())
    networks = [{"epoch_s": 0.1, "memory_bytes": 198e6}, {"epoch_s": 1.9, "memory_bytes": 341e6}]
    Job.objects.update(state="done", worker="cpu-1", ended_at=now, result={"cost": {"networks": networks}})
    found = preflight_status(search=search)
    assert (found["state"], found["worker"]) == ("done", "cpu-1") and 0 <= found["age_s"] < 60
    assert len(found["lines"]) == 2
    Job.objects.update(state="failed", reason="out of memory at batch size 64")
    assert preflight_status(search=search)["reason"] == "out of memory at batch size 64"


@pytest.mark.slow
def test_a_real_measurement_gives_an_estimate(tmp_path: Any, mira: Any) -> None:
    from engine import catalog
    from engine.evaluation.base import Work

    small = config(space={"name": "layers", "depth": [2], "width": [8]})
    search = preflight_request(owner=mira, config=small)
    job = Job.objects.get(search=search)
    evaluator = catalog.get("evaluator", "trained")(small.options("evaluator"))
    session = evaluator.open(small, registry.spec("digits"))
    work = Work("preflight", None, 0, 1, seed=0, folder=tmp_path, extra=job.payload)
    report = session.evaluate(work, lambda _: None, lambda: None)
    found = estimate(small, job.payload, report.to_json(), slots=2)
    assert found["search_s"] > 0 and found["lines"][0].startswith("about ")
