"""A machine is lost while it trains a supernet (FAULTS.md, row 2): really trained, on another worker to the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.faults.conftest import Run, Site
from tests.faults.test_trials import gone
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]
EPOCHS = 30
SCORES = 6


def power_lost(site: Site, name: str) -> None:
    """A worker and everything that it has started are gone at once, and it does not come back."""
    worker = psutil.Process(site.stack.pids()[name])
    worker.suspend()  # so that it can neither see nor record the end of a child
    others = worker.children(recursive=True)
    site.stack.kill(name, signal.SIGKILL, restart=False)
    for process in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert others, "a worker has a fork server, and a training has a process"
    wait_until(lambda: all(gone(p.pid) for p in (worker, *others)), "nothing of the worker is left")


def caught_training(run: Run, epochs: int) -> dict[str, Any]:
    """The supernet once so many of its epochs are in its official checkpoint; it still trains."""

    def far() -> Any:
        look = run.look()
        if not any(j["kind"] == "supernet" for j in look["jobs"]):
            return None
        now = run.site.remote.supernet(search=run.id)
        return now if now["saved"] >= epochs else None

    now: dict[str, Any] = wait_until(far, f"{epochs} epochs are in its checkpoint", timeout_s=60, every_s=0.2)
    assert now["state"] == "running" and len(now["epochs"]) < EPOCHS, "caught in the middle"
    return now


def test_a_supernet_goes_on_elsewhere_when_its_machine_loses_power(make_site: Callable[..., Site]) -> None:
    """Of two workers the one that trains the supernet is killed with its fork server and its child, for good.

    Proves: when the lease is over the other worker takes the piece, once, and a worker lost is no failure of the job;
    the first epoch it works on is one that the official checkpoint did not hold yet (not the first); every epoch is
    stored and announced exactly once, although the lost worker may have reported some after that checkpoint; and the
    search goes through scores and trials to its normal end.
    """
    site = make_site(torch=True, workers=2, concurrency=1)
    run = site.start(
        evaluator={"name": "trained"}, data="digits", space={"name": "nasbench201", "cells": 1, "channels": 4},
        strategy={"name": "spos", "epochs": EPOCHS, "scores": SCORES, "batch_size": 64}, parallelism=1,
        budget={"trials": 2, "epochs": 1}, training={"precision": "float32", "batch_size": 256},
    )  # fmt: skip
    before = caught_training(run, epochs=4)
    name = f"worker-{before['worker'].rsplit('-', 1)[1]}"
    power_lost(site, name)
    at_loss = site.remote.supernet(search=run.id)
    assert at_loss["saved"] < EPOCHS and at_loss["state"] == "running", "nobody has noticed yet"
    look = run.ended(timeout_s=90)

    job = next(j for j in look["jobs"] if j["id"] == before["job"])
    claims = [(c["outcome"], c["worker"]) for c in look["claims"] if c["job_id"] == job["id"]]
    assert claims == [("lost", before["worker"]), ("done", job["worker"])] and job["worker"] != before["worker"]
    assert (job["failures"], job["losses"]) == (0, 1)

    events = [(kind, json.loads(data)) for _, kind, data in site.remote.events(search=run.id)]
    again = [
        data["epoch"] for kind, data in events
        if kind == "progress" and (data["job"], data["worker"]) == (job["id"], job["worker"]) and "epoch" in data
    ]  # fmt: skip
    assert again[0] > at_loss["saved"] >= 4, "it goes on from the checkpoint"
    assert again == sorted(again)
    every = list(range(1, EPOCHS + 1))
    assert site.remote.supernet(search=run.id)["epochs"] == every
    assert [d["epoch"] for kind, d in events if kind == "supernet"] == every, "each is announced once"

    assert look["state"] == "completed"
    assert [t["state"] for t in look["trials"]] == ["completed"] * 2
    assert {j["state"] for j in look["jobs"]} == {"done"}
