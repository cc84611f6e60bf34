"""Asynchronous successive halving: rungs, promotions, early ends, and the epochs that are really executed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import engine
from engine.conductor import Promote, Result, Start, Stop
from engine.objectives import ranking
from engine.schedules._rung import FrontsRung, SortedRung
from engine.schedules.successive_halving import Options, SuccessiveHalving
from tests.engine.driving import TWO, Driver, Edit, config, wild


@pytest.mark.parametrize(
    ("options", "maximum", "rungs"),
    [
        ({}, 27, (3, 9, 27)),
        ({}, 25, (3, 9, 25)),
        ({"eta": 2, "min_epochs": 4}, 25, (4, 7, 13, 25)),
        ({"min_epochs": 1}, 27, (1, 3, 9, 27)),
        ({}, 8, (3, 8)),
        ({}, 2, (2,)),
        ({"eta": 1.5, "min_epochs": 1}, 3, (1, 2, 3)),
    ],
)
def test_rungs_are_counted_from_the_top(options, maximum, rungs):
    """The last one is the maximum, exactly; none is below the least."""
    assert SuccessiveHalving(Options(**options), maximum).rungs == rungs


def test_epochs_executed_equal_the_rung_arithmetic():
    """In the real loop with checkpoints: every rung trains only what the one below has not."""
    settings = config(schedule="successive_halving", strategy="regularized_evolution", budget={"trials": 40})
    result = engine.run(settings, final=False)
    sent = Counter()
    for action in result.actions:
        if isinstance(action, Start | Promote):
            sent[action.fidelity] += 1
    executed = sum(e.report.cost["epochs"] for e in result.log if isinstance(e, Result))
    curves = sum(len(e.report.curve) for e in result.log if isinstance(e, Result))
    assert sent[3] == 40 and 13 <= sent[9] <= 25 and 1 <= sent[27] < sent[9]
    assert executed == curves == 3 * sent[3] + (9 - 3) * sent[9] + (27 - 9) * sent[27]
    assert executed < 0.5 * 40 * 27


def test_every_trial_ends_and_each_end_is_justified():
    """Once all is told: a stopped trial's rank is worse than what went on, with the numbers of its reason."""
    driver = Driver(config(schedule="successive_halving", budget={"trials": 30}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    history = recorded.conductor.history
    assert Counter(e.state for e in history) == Counter(
        pruned=len([a for a in recorded.of(Stop) if a.pruned]), completed=sum(27 in e.reports for e in history)
    )
    for stop in recorded.of(Stop):
        at = history[stop.trial].fidelity
        values = sorted(e.reports[at].metrics["accuracy"] for e in history if at in e.reports)
        rank = 1 + sum(v > history[stop.trial].reports[at].metrics["accuracy"] for v in values)
        assert rank > max(1, len(values) // 3)
        assert f"at epoch {at}" in stop.reason and stop.reason.startswith("rank ")


def test_the_reason_reads_as_people_speak():
    """Five of five at epoch 9 where at most one can go on."""
    schedule = SuccessiveHalving(Options(), 27)
    schedule.expect(5)
    for trial in range(1, 6):
        assert schedule.start(trial) == 3
    for trial in range(1, 6):
        schedule.report(trial, 3, (trial / 10,))
    first, *_ = schedule.sweep()
    assert first.trial == 5 and first.reason == "rank 5 of 5 at epoch 3, the best goes on"
    assert schedule.promote().trial == 1


def test_no_trial_is_stopped_that_could_still_go_on():
    """Adversary: whatever comes after, a stopped trial would never have been promoted."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = int(rng.integers(4, 40))
        order = rng.permutation(n)
        schedule = SuccessiveHalving(Options(eta=2, min_epochs=1), 4)
        schedule.expect(n)
        values: dict[int, float] = {}
        stopped: list[int] = []
        for i, value in enumerate(order, start=1):
            schedule.start(i)
            schedule.report(i, 1, (float(value),))
            values[i] = float(value)
            stopped += [s.trial for s in schedule.sweep()]
        top = sorted(values, key=values.__getitem__)[: max(1, n // 2)]
        assert not set(stopped) & set(top)


def test_a_small_search_still_trains_one_network_fully():
    """Two trials, a third of them would be none."""
    driver = Driver(config(schedule="successive_halving", budget={"trials": 2}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    assert [e.state for e in recorded.conductor.history].count("completed") == 1
    assert recorded.conductor.history.top == ("table", 27)


def test_failures_on_the_way_do_not_block_a_rung():
    """Those who failed are not waited for."""
    driver = Driver(config(schedule="successive_halving", budget={"trials": 9}))
    driver.tell(Edit("start"))
    for _ in range(8):
        if len(driver.out.conductor.history.told) < 5:
            driver.finish_one()
        else:
            driver.fail_one()
    recorded = driver.all()
    assert any(e.state == "completed" for e in recorded.conductor.history)


@pytest.mark.parametrize("seed", range(6))
def test_promotions_follow_the_paper(seed):
    """Each promoted trial was in the best floor(n / eta) of its rung at that moment, or its rung was closed."""
    recorded = wild(config(schedule="successive_halving", budget={"trials": 60}), seed)
    seen: dict[int, dict[int, float]] = {3: {}, 9: {}}
    below = {9: 3, 27: 9}
    n_started = 0
    for entry, actions in zip(recorded.entries, recorded.actions, strict=True):
        if isinstance(entry, Result) and entry.report.failure is None and entry.fidelity in seen:
            seen[entry.fidelity][entry.trial] = entry.report.metrics["accuracy"]
        for action in actions:
            n_started += isinstance(action, Start)
            if isinstance(action, Promote):
                rung = seen[below[action.fidelity]]
                rank = 1 + sum(v > rung[action.trial] for v in rung.values())
                closed = n_started >= 60
                assert rank <= len(rung) // 3 or (closed and rank == 1)


def test_fronts_rung_ranks_like_sorting_everything_anew():
    """Incremental fronts against the brute-force ranking, after every insertion."""
    rng = np.random.default_rng(3)
    for m in (2, 3):
        rung, values = FrontsRung(), []
        for trial in range(60):
            values.append(tuple(rng.integers(0, 12, size=m).astype(float).tolist()))
            rung.add(trial, values[-1])
            if trial % 7 == 0:
                rung.take(int(rng.integers(trial + 1)))
            order = ranking(np.array(values)).tolist()
            assert [rung.rank(t) for t in order] == list(range(1, trial + 2))
            waiting = [t for t in order if t in rung._is_waiting]
            assert rung.best_waiting() == (waiting[0] if waiting else None)
            assert rung.worst_waiting() == (waiting[-1] if waiting else None)
            assert rung.waiting == len(waiting)


def test_sorted_rung_against_sorting():
    """Ranks, best and worst of those that wait, how many within a rank."""
    rng = np.random.default_rng(4)
    rung, values = SortedRung(), {}
    for trial in range(80):
        values[trial] = float(rng.integers(0, 20))
        rung.add(trial, (values[trial],))
        if trial % 3 == 0:
            rung.take(int(rng.integers(trial + 1)))
        order = sorted(values, key=lambda t: (values[t], t))
        assert [rung.rank(t) for t in order] == list(range(1, trial + 2))
        waiting = [t for t in order if (values[t], t) in rung._waiting]
        assert rung.best_waiting() == (waiting[0] if waiting else None)
        assert rung.waiting_within(10) == sum(t in waiting for t in order[:10])


def test_two_objectives_go_on_by_front():
    """The most accurate and the smallest both reach the top."""
    recorded = wild(
        config(schedule="successive_halving", objectives=TWO, budget={"trials": 40}), 1, failures=0, edits=0
    )
    history = recorded.conductor.history
    at3 = {e.number: e.values[("table", 3)] for e in history}
    top = {e.number for e in history if 27 in e.reports}
    smallest = min(at3, key=lambda n: at3[n][1])
    assert smallest in top
    assert len(top) >= 2
