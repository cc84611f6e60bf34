"""Trials that go wrong (FAULTS.md, rows 1, 7, 14-21): one stack, really failing child processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.faults.conftest import Site
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]
#: children die here as real trainings would, forked off a process that holds torch
TORCH = True


def states(look: dict[str, Any]) -> Counter[str]:
    return Counter(t["state"] for t in look["trials"])


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def training(trial: int, epochs: int = 2) -> Any:
    """Condition: a trial has reported some epochs and still runs."""

    def check(look: dict[str, Any]) -> bool:
        running = any(j["trial__number"] == trial and j["state"] == "running" for j in look["jobs"])
        return running and sum(p[0] == trial for p in look["points"]) >= epochs

    return check


def test_killed_child_is_tried_once_more(site: Site) -> None:
    run = site.start(trials=4, epochs=12, acted={"epoch_s": 0.1})
    run.until(training(1), "trial 1 trains")
    os.kill(run.child(1), signal.SIGKILL)
    look = run.ended()
    assert look["state"] == "completed" and states(look) == {"completed": 4}
    (job,) = [j for j in look["jobs"] if j["trial__number"] == 1]
    assert (job["failures"], job["losses"], job["claim"]) == (1, 0, 2)
    assert [c["outcome"] for c in look["claims"] if c["job_id"] == job["id"]] == ["failed", "done"]
    assert Counter((p[0], p[1]) for p in look["points"]) == {(t, e): 1 for t in range(1, 5) for e in range(1, 13)}


@pytest.mark.parametrize(("fault", "word"), [("segv", "SIGSEGV"), ("abort", "SIGABRT")])
def test_crashing_child_is_set_aside_and_the_next_trial_runs(site: Site, fault: str, word: str) -> None:
    run = site.start(trials=4, acted={"fault": fault, "on": [2]})
    look = run.ended()
    assert look["state"] == "completed" and states(look) == {"completed": 3, "failed": 1}
    trial = look["trials"][1]
    assert trial["failure_kind"] == "crashed" and word in trial["reason"]
    assert "tests/plugins.py" in trial["traceback"] or "_fault" in trial["traceback"]
    (job,) = [j for j in look["jobs"] if j["trial__number"] == 2]
    assert job["failures"] == 2 and job["claim"] == 2 and job["losses"] == 0


def test_raising_trial_is_set_aside_with_its_traceback(site: Site) -> None:
    run = site.start(trials=3, acted={"fault": "raise", "on": [1]})
    look = run.ended()
    assert states(look) == {"completed": 2, "failed": 1}
    assert "ZeroDivisionError: the plug-in divides by zero" in look["trials"][0]["reason"]
    assert "in _fault" in look["trials"][0]["traceback"]
    assert next(j for j in look["jobs"] if j["trial__number"] == 1)["failures"] == 2


@pytest.mark.parametrize("fault", ["cannot_build", "out_of_memory"])
def test_failures_of_the_architecture_are_results(site: Site, fault: str) -> None:
    run = site.start(trials=3, acted={"fault": fault, "on": [2]})
    look = run.ended()
    assert look["state"] == "completed" and states(look) == {"completed": 2, "failed": 1}
    assert look["trials"][1]["failure_kind"] == fault
    (job,) = [j for j in look["jobs"] if j["trial__number"] == 2]
    assert job["claim"] == 1 and job["failures"] == 0  # not repeated unchanged


def test_nan_is_ended_early_and_never_best(site: Site) -> None:
    run = site.start(
        trials=4, evaluator={"name": "not_a_number", "folder": str(site.folder), "on": [1, 3]},
        objectives=[{"metric": "accuracy"}, {"metric": "n_params", "direction": "minimize"}],
    )  # fmt: skip
    look = run.ended()
    assert states(look) == {"completed": 2, "failed": 2}
    assert {t["failure_kind"] for t in look["trials"] if t["state"] == "failed"} == {"not_finite"}
    assert look["best"] in (2, 4) and not {1, 3} & set(look["front"])
    for _, _, data in site.remote.events(search=run.id):
        assert "NaN" not in data and "Infinity" not in data
        json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} in an event"))


def test_hung_trial_ends_with_everything_it_started(site: Site) -> None:
    run = site.start(trials=2, acted={"fault": "hang", "on": [1]}, training={"timeout_s": 3.0})
    look = run.ended()
    assert look["state"] == "completed" and states(look) == {"completed": 1, "failed": 1}
    assert look["trials"][0]["failure_kind"] == "timed_out" and "3 s" in look["trials"][0]["reason"]
    sleeper = int((run.folder / "sleeper").read_text())
    wait_until(lambda: gone(run.child(1)) and gone(sleeper), "the child and what it started are gone")


def test_one_message_five_times_is_one_execution(site: Site) -> None:
    run = site.start(trials=2, epochs=3, acted={"epoch_s": 0.2})
    look = run.until(lambda look: look["jobs"], "there are jobs")
    for job in look["jobs"]:
        site.remote.deliver(job=job["id"], claim=0, times=4)
    look = run.ended()
    claims = sorted((c["job_id"], c["number"], c["outcome"]) for c in look["claims"])
    assert claims == [(job["id"], 1, "done") for job in look["jobs"]]
    assert sorted((t, e) for t, e, _ in run.executed()) == [(t, e) for t in (1, 2) for e in (1, 2, 3)]


def test_cancel_in_an_epoch_stops_within_seconds_for_ever(site: Site) -> None:
    run = site.start(trials=4, epochs=500, acted={"epoch_s": 0.1})
    run.until(training(1), "trial 1 trains")
    child = run.child(1)
    run.act("cancel")
    look = run.look()
    assert look["state"] == "stopped" and not {"waiting", "running", "paused"} & set(states(look))
    wait_until(lambda: gone(child), "the child is gone", timeout_s=10)
    later = run.look()
    assert later["trials"] == look["trials"] and later["state"] == "stopped" and later["wrong"] == []


def test_a_child_that_does_not_listen_is_killed(site: Site) -> None:
    run = site.start(trials=2, epochs=500, acted={"epoch_s": 0.1, "fault": "deaf", "at": 0})
    run.until(training(1), "trial 1 trains")
    child = run.child(1)
    run.act("cancel")
    wait_until(lambda: gone(child), "the child is gone", timeout_s=10)
    assert run.look()["wrong"] == []


def test_cancel_racing_with_the_end_leaves_one_state(site: Site) -> None:
    outcomes = set()
    for round_ in range(4):
        run = site.start(trials=2, epochs=2, acted={"epoch_s": 0.05})
        enough = (lambda look: "running" in states(look)) if round_ % 2 else (lambda look: "completed" in states(look))
        run.until(enough, "it is on its way")
        with contextlib.suppress(AssertionError):  # it has ended already: refused
            run.act("cancel")
        look = run.ended()
        outcomes.add(look["state"])
        assert look["state"] in ("stopped", "completed")
        assert not {"waiting", "running", "paused"} & set(states(look))
        events = [json.loads(d)["state"] for _, kind, d in site.remote.events(search=run.id) if kind == "search"]
        ends = [i for i, s in enumerate(events) if s in ("stopped", "completed", "failed")]
        assert len({events[i] for i in ends}) == 1 and ends == list(range(ends[0], len(events)))
    assert "stopped" in outcomes


def test_pause_hands_back_and_resume_goes_on_from_the_checkpoint(site: Site) -> None:
    run = site.start(trials=2, epochs=40, acted={"epoch_s": 0.2})
    run.until(lambda look: training(1)(look) and training(2)(look), "both train")
    run.act("pause")
    assert run.look()["state"] == "paused"
    look = run.until(lambda look: states(look) == {"paused": 2}, "both have handed back", timeout_s=10)
    assert {j["state"] for j in look["jobs"]} == {"held"} and all(j["checkpoint"] for j in look["jobs"])
    run.act("resume")
    look = run.ended()
    assert states(look) == {"completed": 2} and all(j["failures"] == j["losses"] == 0 for j in look["jobs"])
    executed = Counter((t, e) for t, e, _ in run.executed())
    assert executed == {(t, e): 1 for t in (1, 2) for e in range(1, 41)}  # nothing trained twice


def test_finish_keeps_what_there_is(site: Site) -> None:
    run = site.start(trials=50, epochs=10, acted={"epoch_s": 0.05})
    run.until(lambda look: states(look)["completed"] >= 2, "two trials are done")
    run.act("finish")
    look = run.ended()
    assert look["state"] == "completed" and look["best"] is not None and states(look)["completed"] >= 2
    assert set(states(look)) <= {"completed", "cancelled"}


def test_full_disk_pauses_with_the_reason(site: Site) -> None:
    run = site.start(trials=4, acted={"fault": "disk_full", "on": [1]})
    look = run.until(lambda look: look["state"] == "paused" and look["trials"][0]["state"] == "failed", "it pauses")
    assert "No space left on device" in look["reason"] and look["trials"][0]["failure_kind"] == "disk_full"
    run.act("resume")
    look = run.ended()
    assert look["state"] == "completed" and states(look) == {"completed": 3, "failed": 1}


def test_raising_strategy_fails_the_search(site: Site) -> None:
    run = site.start(trials=6, strategy={"name": "troubled", "raise_at": 4})
    look = run.ended()
    assert look["state"] == "failed" and "no idea what to try" in look["reason"]
    assert not {"waiting", "running", "paused"} & set(states(look))


def test_every_trial_failing_fails_the_search(site: Site) -> None:
    run = site.start(trials=40, acted={"fault": "cannot_build"})
    look = run.ended()
    assert look["state"] == "failed" and "every trial failed" in look["reason"]
    assert len(look["trials"]) < 12
