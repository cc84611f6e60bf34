"""What the worker's side makes of a child that stopped because it was told to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.config import SearchConfig
from engine.data import registry
from searches.childwatch import ChildRun
from searches.models import Job, Search
from searches.services.jobs import job_claim
from searches.services.preflight import preflight_request
from tests.factories import user_make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stopped(tmp_path: Path) -> Any:
    """`stopped(job, "pause")`: the answer recorded for a child that handed back for this reason."""

    def answer(job: Job, reason: str) -> Job:
        claimed = job_claim(job_id=job.pk, claim=job.claim, worker="cpu-1")
        assert claimed is not None
        config = claimed.job.search.config
        run = ChildRun(claimed, config, registry.spec("digits"), tmp_path, SimpleNamespace(order=reason))
        run.stopped, run.last = reason, {"kind": "interrupted", "reason": reason}
        run._answer(SimpleNamespace(exitcode=0))  # type: ignore[arg-type]
        job.refresh_from_db()
        return job

    return answer


def preflight() -> Job:
    config = SearchConfig.parse({"name": "digits", "budget": {"trials": 3, "epochs": 2}})
    return preflight_request(owner=user_make(), config=config).jobs.get()


def test_a_preflight_that_nobody_asks_for_any_more_is_not_done_again(stopped: Any) -> None:
    job = stopped(preflight(), "cancel")
    assert (job.state, job.reason) == ("failed", "nobody asks for it any more")


@pytest.mark.parametrize("reason", ["pause", "drain"])
def test_what_was_handed_back_waits_for_another_worker(stopped: Any, reason: str) -> None:
    job = stopped(preflight(), reason)
    assert (job.state, job.failures, job.losses) == ("waiting", 0, 0)


def test_a_child_is_told_what_the_search_has_chosen_on_any_machine(tmp_path: Path) -> None:
    job = preflight()
    chosen = {"Some CPU": {"precision": "float32", "layout": "contiguous", "threads": 1}}
    Search.objects.filter(pk=job.search_id).update(settings=chosen)
    claimed = job_claim(job_id=job.pk, claim=0, worker="cpu-1")
    assert claimed is not None
    run = ChildRun(claimed, job.search.config, registry.spec("digits"), tmp_path, SimpleNamespace(order=""))
    assert run._message(None)["extra"]["settings"] == chosen
