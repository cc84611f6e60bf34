"""The conductor: beginnings, ends, people's edits, failures, and what it costs."""

from __future__ import annotations

import json
import sys

import pytest

from engine.conductor import Conductor, Edit, Finish, Promote, Result, Start, Stop, training_seed
from engine.errors import EngineError, InvalidConfig, StrategyFailed
from engine.evaluation.base import Report
from tests.engine.driving import TWO, Driver, conductor_of, config, started


def test_nothing_happens_before_start_and_once_per_entry():
    """A draft proposes nothing; asking twice gives nothing new."""
    driver = Driver(config())
    assert driver.out.conductor.next_actions() == []
    actions = driver.tell(Edit("start"))
    assert [a.trial for a in actions] == [1, 2, 3, 4]
    assert all(isinstance(a, Start) and a.fidelity == 27 for a in actions)


def test_the_budget_ends_the_search_with_its_best():
    """Thirty trials, no more; the winner is the best."""
    driver = started()
    recorded = driver.all()
    history = recorded.conductor.history
    best = max(history, key=lambda e: e.metrics()["accuracy"])
    assert recorded.finish == Finish("all 30 trials of the budget are done", (best.number,))
    assert len(recorded.of(Start)) == 30
    assert {e.state for e in history} == {"completed"}


def test_several_objectives_end_with_the_front_the_most_accurate_first():
    """Against brute force."""
    recorded = started(objectives=TWO, budget={"trials": 60}).all()
    points = {e.number: e.loss() for e in recorded.conductor.history}
    front = {
        n for n, p in points.items()
        if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points.values())
    }  # fmt: skip
    winners = recorded.finish.winners
    assert set(winners) == front and len(front) > 1
    assert points[winners[0]][0] == min(p[0] for p in points.values())


def test_while_paused_results_are_told_and_nothing_starts():
    """And resuming fills the slots again."""
    driver = started(schedule="successive_halving")
    driver.tell(Edit("pause"))
    while driver.running:
        assert not any(isinstance(a, Start | Promote) for a in driver.finish_one())
    assert driver.out.conductor.waiting()[0] == {"what": "the search", "why": "paused by a person"}
    assert len(driver.out.conductor.history.told) == 4
    actions = driver.tell(Edit("resume"))
    assert sum(isinstance(a, Start | Promote) for a in actions) == 4
    assert driver.all().finish.winners


@pytest.mark.parametrize("paused", [False, True])
def test_finish_now_keeps_results(paused):
    """Running and paused trials are stopped, the best so far wins."""
    driver = started()
    for _ in range(6):
        driver.finish_one()
    best = driver.out.conductor.best().number
    if paused:
        driver.tell(Edit("pause"))
    actions = driver.tell(Edit("finish"))
    assert [type(a) for a in actions] == [Stop] * 4 + [Finish]
    assert actions[-1] == Finish("finished by a person", (best,))
    assert not any(a.pruned for a in actions[:-1])
    assert driver.tell(Edit("extend", {"trials": 5})) == []
    assert driver.tell(Edit("start")) == []


def test_cancel_throws_away():
    """No winner."""
    driver = started()
    driver.finish_one()
    assert driver.tell(Edit("cancel"))[-1] == Finish("cancelled by a person", (), cancelled=True)


def test_deadline_ends_with_the_best():
    """Minutes are the driver's business; the conductor is told."""
    driver = started(budget={"minutes": 2})
    driver.finish_one()
    finish = driver.tell(Edit("deadline"))[-1]
    assert finish.reason == "time is up (2 minutes)" and finish.winners == (1,)


def test_target_counts_at_the_maximum_fidelity_only():
    """A quick score does not end a search."""
    driver = started(schedule="successive_halving", budget={"target": 0.9})
    driver.finish_one(metrics={"accuracy": 0.95})
    assert driver.out.finish is None
    while not (promoted := [n for n, f in driver.running.items() if f == 27]):
        driver.finish_one(metrics={"accuracy": 0.5})
    finish = driver.finish_one(promoted[0], {"accuracy": 0.9})[-1]
    assert finish.reason == f"target reached: accuracy 0.9 (#{promoted[0]})"
    assert finish.winners == (promoted[0],)


def test_target_of_something_to_minimize():
    """At most, not at least."""
    objectives = [{"metric": "n_params", "direction": "minimize"}, {"metric": "accuracy"}]
    driver = started(objectives=objectives, budget={"target": 1.0})
    assert driver.all().finish.reason.startswith("all 30")


def test_patience_counts_finished_trials_since_the_best():
    """Failed ones count too; an improvement starts the count anew."""
    driver = started(budget={"patience": 4}, parallelism=1)
    for accuracy in (0.5, 0.4, 0.4, 0.6, 0.1, 0.2):
        driver.finish_one(metrics={"accuracy": accuracy})
    driver.fail_one()
    assert driver.out.finish is None
    finish = driver.finish_one(metrics={"accuracy": 0.6})[-1]
    assert finish == Finish("no better trial among the last 4", (4,))


def test_every_trial_fails():
    """The search fails with the reason, long before the budget."""
    driver = started(budget={"trials": 1000})
    for i in range(8):
        assert driver.out.finish is None
        driver.fail_one(message=f"no such device {i}")
    assert driver.out.finish == Finish("every trial failed: no such device 7", (), failed=True)


def test_one_success_keeps_the_search_alive():
    """Failed trials count against the budget, nothing else."""
    driver = started()
    driver.finish_one()
    while driver.out.finish is None:
        driver.fail_one()
    assert driver.out.finish == Finish("all 30 trials of the budget are done", (1,))


def test_a_small_budget_of_failures_fails_as_well():
    """Also below the number that would have ended it early."""
    driver = started(budget={"trials": 2})
    driver.fail_one()
    assert driver.fail_one()[-1] == Finish("every trial failed: boom", (), failed=True)


def test_extend_adds_trials():
    """Also while the last ones run."""
    driver = started(budget={"trials": 4})
    assert not any(isinstance(a, Start) for a in driver.finish_one())
    assert [type(a) for a in driver.tell(Edit("extend", {"trials": 3}))] == [Start]
    assert len(driver.all().of(Start)) == 7


def test_cancel_one_trial():
    """It is stopped, counts against the budget, and its slot is free at once; a late result changes nothing."""
    driver = started()
    actions = driver.tell(Edit("cancel_trial", {"trial": 2}))
    assert actions[0] == Stop(2, "cancelled by a person") and isinstance(actions[1], Start)
    c = driver.out.conductor
    assert c.history[2].state == "cancelled"
    driver.tell(Result(2, 27, Report({"accuracy": 1.0}, 27, "table")))
    assert c.history[2].reports == {} and c.best() is None
    assert driver.tell(Edit("cancel_trial", {"trial": 2})) == driver.tell(Edit("cancel_trial", {"trial": 99})) == []
    assert len(driver.all().of(Start)) == 30


def test_late_results_survive_a_snapshot():
    """What was ignored stays ignored after a restore."""
    driver = Driver(config(), snapshots=True)
    driver.tell(Edit("start"))
    driver.tell(Edit("cancel_trial", {"trial": 2}))
    driver.tell(Result(2, 27, Report({"accuracy": 1.0}, 27, "table")))
    driver.finish_one()
    n = len(driver.out.log)
    again = conductor_of(config())
    again.restore(json.loads(driver.out.snapshots[-1]), driver.out.entries, driver.out.proposals_until(n))
    assert again.best().number == 1 and again.history[2].reports == {}


def test_a_snapshot_is_refused_where_it_does_not_belong():
    """Clear errors instead of a wrong search."""
    driver = Driver(config(), snapshots=True)
    driver.tell(Edit("start"))
    state, proposals = json.loads(driver.out.snapshots[0]), driver.out.proposals_until(1)
    with pytest.raises(EngineError, match="after 1 entries"):
        conductor_of(config()).restore(state, [], proposals)
    with pytest.raises(EngineError, match="no proposal for trial 4"):
        conductor_of(config()).restore(state, driver.out.entries, {n: p for n, p in proposals.items() if n != 4})
    with pytest.raises(EngineError, match="version"):
        conductor_of(config()).restore({**state, "version": 0}, driver.out.entries, proposals)


def test_unknown_trials_and_edits_are_errors():
    """A log that speaks of what is not there is broken."""
    with pytest.raises(EngineError, match="trial 9"):
        started().tell(Result(9, 27, Report({}, 27)))
    with pytest.raises(EngineError, match="extend needs"):
        Edit("extend", {"trials": 0})
    with pytest.raises(EngineError, match="one of start"):
        Edit("restart")  # type: ignore[arg-type]


def test_best_compares_equal_fidelity_only():
    """A higher rung takes over, however good the quick scores were; then equals are compared."""
    driver = started(schedule="successive_halving", parallelism=1)
    driver.finish_one(metrics={"accuracy": 0.99})
    c = driver.out.conductor
    while not (promoted := [n for n, f in driver.running.items() if f > 3]):
        driver.finish_one(metrics={"accuracy": 0.5})
    assert c.best().number == 1 and c.history.top == ("table", 3)
    driver.finish_one(promoted[0], {"accuracy": 0.4})
    assert c.history.top == ("table", 9)
    assert c.best().number == promoted[0] and c.front() == [promoted[0]]


def test_what_is_not_finite_is_never_best():
    """A report without a usable value does not lead, whatever comes first."""
    driver = started(objectives=TWO)
    driver.finish_one(metrics={"loss": 1.0})
    assert driver.out.conductor.best() is None and driver.out.conductor.front() == []
    driver.finish_one(metrics={"accuracy": 0.2})
    assert driver.out.conductor.best().number == 2
    json.dumps(driver.out.conductor.state(), allow_nan=False)


class Broken(Exception):
    """Raised by a strategy."""


@pytest.mark.parametrize("where", ["propose", "tell"])
def test_a_strategy_that_raises_is_named(monkeypatch, where):
    """The search can say what was wrong."""
    driver = Driver(config())

    def broken(*args):
        raise Broken("division by zero")

    monkeypatch.setattr(driver.out.conductor.strategy, where, broken)
    with pytest.raises(StrategyFailed, match="random failed: Broken: division by zero"):
        driver.tell(Edit("start"))
        driver.finish_one()


def test_waiting_for_nothing_is_a_failure_not_a_standstill(monkeypatch):
    """A strategy that waits although nothing runs would wait for ever."""
    from engine.strategies.base import Wait

    driver = Driver(config())
    monkeypatch.setattr(driver.out.conductor.strategy, "ask", lambda n: Wait("a sign"))
    with pytest.raises(StrategyFailed, match="nothing is under way: a sign"):
        driver.tell(Edit("start"))


def test_proposals_that_keep_being_refused_exhaust_the_search(monkeypatch):
    """Bounded, counted by reason, and none of the budget is spent."""
    from engine.strategies.base import Proposal

    driver = Driver(config())
    same = driver.out.conductor.context.space.enumerate().__next__()
    monkeypatch.setattr(driver.out.conductor.strategy, "ask", lambda n: [Proposal(same)])
    driver.tell(Edit("start"))
    driver.finish_one()
    assert len(driver.out.conductor.history) == 1
    assert "200 duplicate" in driver.out.finish.reason


def test_a_strategy_that_does_not_serve_is_refused_with_its_reason(monkeypatch):
    """At the field of the form."""
    from engine.strategies.random import RandomSearch

    monkeypatch.setattr(RandomSearch, "supports", classmethod(lambda *a: "only trees"))
    with pytest.raises(InvalidConfig) as e:
        conductor_of(config())
    assert e.value.errors == [(("strategy", "name"), "only trees")]


def test_training_seeds_differ_and_stay():
    """Pinned: a search continued by a later version trains the same networks."""
    seeds = {training_seed(s, t, r) for s in range(3) for t in range(50) for r in range(3)}
    assert len(seeds) == 450 and all(0 <= s < 2**31 for s in seeds)
    assert training_seed(0, 1) == 49778647


def calls_during(driver: Driver, trials: int, *, counted: bool = True) -> float:
    """Python and C function calls per trial while so many rungs are told; counting them is what takes long."""
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    observe, conductor = 0, driver.out.conductor
    for _ in range(trials):
        trial = next(iter(driver.running))
        fidelity = driver.running.pop(trial)
        entry = Result(trial, fidelity, driver.report(trial, fidelity))
        sys.setprofile(profile if counted else None)
        conductor.observe(entry)
        actions = conductor.next_actions()
        sys.setprofile(None)
        observe += 1
        for action in actions:
            if isinstance(action, Start | Promote):
                driver.running[action.trial] = action.fidelity
            elif isinstance(action, Stop):
                driver.running.pop(action.trial, None)
    return count / observe


@pytest.mark.parametrize("schedule", ["full", "successive_halving"])
@pytest.mark.parametrize("strategy", ["random", "regularized_evolution", "local_search"])
def test_deciding_costs_the_same_with_a_long_history(strategy, schedule):
    """Function calls per told rung, late against early: nothing rescans the history."""
    strategy = {"name": strategy, "population": 50} if strategy == "regularized_evolution" else strategy
    driver = Driver(config(strategy=strategy, schedule=schedule, space="layers", budget={"trials": 100_000}))
    driver.tell(Edit("start"))
    calls_during(driver, 150, counted=False)
    early = calls_during(driver, 150)
    calls_during(driver, 1200, counted=False)
    late = calls_during(driver, 150)
    assert late < 1.5 * early


def test_conductor_is_public():
    """The names the services import."""
    import engine.conductor as module

    assert all(hasattr(module, name) for name in module.__all__)
    assert Conductor.observe and Conductor.next_actions
