"""What the strategies that learn a policy share, and factorized REINFORCE."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conductor import Start
from engine.evaluation.base import Report
from engine.history import TrialEntry
from engine.strategies._controllers.rewards import WORST, Rewards
from engine.strategies._controllers.sequences import Grammar, Step, entropy, flattened, pick, softmax, tokens_of
from engine.strategies._controllers.trace import Trace
from engine.strategies.base import Proposal
from engine.strategies.factorized_reinforce import gradient
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config


def entry_of(number, losses=None, level=("table", 1), failure=None):
    """A trial with these losses, or that failed."""
    entry = TrialEntry(number, Proposal(None), lambda a: {})  # type: ignore[arg-type]
    if losses is not None:
        entry.values[level] = losses
    if failure is not None:
        entry.failure = Report.failed(failure, "boom").failure
    return entry


def test_rewards_are_ranks_whatever_the_scale():
    """Shares of worse results minus shares of better ones; losses a billion times as large are worth the same."""
    rewards = Rewards()
    entries = [entry_of(n, (x,)) for n, x in enumerate([3.0, 1.0, 2.0, 2.0], start=1)]
    for entry in entries:
        rewards.add(entry)
    assert [rewards.of(e) for e in entries] == [-0.75, 0.75, 0.0, 0.0]
    scaled = Rewards()
    for n, x in enumerate([3e9, 1e9, 2e9, 2e9], start=1):
        scaled.add(entry_of(n, (x,)))
    assert [scaled.of(entry_of(9, (x,))) for x in (3e9, 1e9)] == [-0.75, 0.75]


def test_rewards_of_several_objectives_count_domination():
    """Two that do not dominate each other are worth the same; what both dominate is worth less."""
    rewards = Rewards()
    a, b, c = entry_of(1, (0.0, 2.0)), entry_of(2, (2.0, 0.0)), entry_of(3, (3.0, 3.0))
    for entry in (a, b, c):
        rewards.add(entry)
    assert rewards.of(a) == rewards.of(b) == pytest.approx(1 / 3)
    assert rewards.of(c) == pytest.approx(-2 / 3)


def test_failures_are_the_worst_and_cancellations_say_nothing():
    rewards = Rewards()
    assert rewards.add(entry_of(1, failure="out_of_memory")) == WORST
    assert rewards.add(entry_of(2, failure="cancelled")) is None
    assert rewards.add(entry_of(3, failure="worker_lost")) is None


def test_levels_are_ranked_apart_and_windows_follow_from_the_history():
    """A quick score is not compared with a slow one; told again in order, the same rewards come out."""
    entries = [entry_of(n, (float(n % 7),), ("table", 1 + n % 2)) for n in range(1, 500)]
    rewards, again = Rewards(), Rewards()
    for entry in entries:
        rewards.add(entry)
    again.rebuild(entries)
    assert [rewards.of(e) for e in entries] == [again.of(e) for e in entries]
    last = [e.values[("table", 1)][0] for e in entries if ("table", 1) in e.values][-200:]
    assert rewards.of(entries[1]) == pytest.approx(np.mean(np.array(last) > 2) - np.mean(np.array(last) < 2))


def test_a_trace_is_even_bounded_and_comes_back():
    trace = Trace(10, 2)
    for i in range(1000):
        trace.add([i, -i])
    rows = trace.rows
    assert 5 <= len(rows) <= 10 and len(set(np.diff(rows[:, 0]))) == 1
    again = Trace(10, 2)
    again.load("t", trace.arrays("t"))
    for t in (trace, again):
        for i in range(1000, 1500):
            t.add([i, -i])
    assert (trace.rows == again.rows).all()


@pytest.mark.parametrize("space", [{"name": "nasbench201", "cells": 1}, {"name": "layers"}])
def test_sequences_are_read_back(space):
    """Architecture -> steps -> tokens -> architecture, and words for people."""
    space = conductor_of(config(space=space)).context.space
    grammar, rng = Grammar(space), np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(20)]
    tokens = tokens_of([grammar.read(a) for a in drawn])
    assert [grammar.places.from_tokens([int(t) for t in row]) for row in tokens] == drawn
    for architecture in drawn:
        said = [grammar.words(step.token) for step in grammar.read(architecture)]
        assert said == [(space.title(n), space.format(n, o)) for n, o in architecture.items]


def test_probabilities_are_flattened_picked_and_measured():
    p = np.array([0.9, 0.1])
    assert flattened(p, 1) is p
    assert flattened(p, 2) == pytest.approx(np.sqrt(p) / np.sqrt(p).sum())
    assert [pick(p, at) for at in (0.0, 0.89, 0.91, 1.0)] == [0, 0, 1, 1]
    assert entropy(np.array([0.25] * 4)) == pytest.approx(1) and entropy(np.array([1.0, 0.0])) == 0


# -- factorized REINFORCE ---------------------------------------------------------------------------
def test_the_gradient_on_a_two_armed_bandit():
    """d log pi(a) / d theta = 1 - p and -(1 - p), times the advantage; the entropy's is -p log(p / (1 - p)) (1 - p)."""
    logits = np.array([0.0, 0.7, -0.2])
    step = Step(0, np.array([1, 2]), 0)
    p = softmax(logits[1:])[0]
    assert p == pytest.approx(1 / (1 + np.exp(-0.9)))
    assert gradient(logits, [step], 2.0) == pytest.approx([0, 2 * (1 - p), -2 * (1 - p)])
    slope = -p * (1 - p) * np.log(p / (1 - p))
    assert gradient(logits, [step], 0.0, 1.0) == pytest.approx([0, slope, -slope])


def test_the_gradient_is_that_of_finite_differences():
    """Three decisions, one of them with options left out, against the objective itself."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=9)
    steps = [Step(0, np.array([1, 2, 3]), 1), Step(1, np.array([4, 6]), 0), Step(2, np.array([7, 8]), 1)]

    def objective(at):
        p = [softmax(at[s.offered]) for s in steps]
        log_p = sum(np.log(q[s.chosen]) for q, s in zip(p, steps, strict=True))
        return 1.3 * log_p - 0.4 * sum((q * np.log(q)).sum() for q in p)

    slopes = [(objective(logits + h) - objective(logits - h)) / 2e-6 for h in 1e-6 * np.eye(9)]
    assert gradient(logits, steps, 1.3, 0.4) == pytest.approx(slopes, abs=1e-6)


def convolutions(architecture):
    """A reward that asks for one option."""
    return sum(o == "nor_conv_3x3" for o in architecture.choices.values()) / 6


#: strategies that write by a policy, with what makes them quick to learn
LEARNERS = {
    "factorized_reinforce": {},
    "q_learning": {},
    "reinforce": {"hidden": 8, "lr": 0.04},
    "ppo": {"hidden": 8, "lr": 0.04, "batch": 4},
    "actor_critic": {"hidden": 8, "lr": 0.04},
}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_policy_rewarded_for_one_option_learns_it(name):
    """Networks with one kind of edge are the best: the last ones have more of it, and the policy prefers it."""
    settings = config(strategy={"name": name, **LEARNERS[name]}, budget={"trials": 100}, duplicates="written")
    driver = Driver(settings)
    driver.tell(Edit("start"))
    history = driver.out.conductor.history
    while driver.out.finish is None:
        trial = next(iter(driver.running))
        driver.finish_one(trial, {"accuracy": convolutions(history[trial].architecture)})
    had = [convolutions(e.architecture) for e in history]
    assert np.mean(had[:15]) < 0.35 and np.mean(had[-30:]) > 0.5 and max(had) > 0.8
    preferred = driver.out.conductor.views()["preferred"]["rows"]
    assert sum(name.endswith(": conv 3×3") for name, _ in preferred) >= 5


@pytest.mark.parametrize("name", LEARNERS)
def test_one_that_others_tried_teaches_too(name):
    """A person's architecture moves the policy as an own one would."""
    driver = Driver(config(strategy={"name": name, **LEARNERS[name]}, budget={"trials": 40}, parallelism=1))
    driver.tell(Edit("start"))
    space = driver.out.conductor.context.space
    strategy = driver.out.conductor.strategy
    before = strategy.results
    driver.tell(
        Edit("propose", {"choices": space.validate({d.name: "nor_conv_3x3" for d in space.all_decisions()}).choices})
    )
    driver.finish_one()
    driver.finish_one()
    assert strategy.results == before + 2 and driver.out.conductor.history[2].proposal.by == "you"


@pytest.mark.parametrize("name", LEARNERS)
def test_a_settled_policy_goes_on_and_learns_at_no_cost(name):
    """A third of a small space: nothing is paid twice, known networks are learned from, the asks stay bounded."""
    space = {"name": "nasbench201", "cells": 1, "operations": ["skip_connect", "nor_conv_3x3"]}
    driver = Driver(config(strategy={"name": name, **LEARNERS[name]}, space=space, budget={"trials": 40}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    assert len({a.proposal.architecture for a in recorded.of(Start)}) >= 25
    strategy = recorded.conductor.strategy
    assert strategy.repeats > 10
    assert f"{strategy.repeats:,} known" in strategy.views()["learning"]["note"]


@pytest.mark.parametrize("name", ["factorized_reinforce"])
def test_what_is_over_a_limit_is_learned_to_be_avoided(name):
    """Under a limit that four fifths of the networks break, late drafts break it less often than early ones."""
    space = {"name": "nasbench201", "cells": 1}
    context = conductor_of(config(space=space)).context
    costs = [context.costs(context.space.sample(np.random.default_rng(i)))["n_macs"] for i in range(200)]
    limit = float(np.quantile(costs, 0.2))
    driver = Driver(config(strategy={"name": name, **LEARNERS[name]}, limits={"n_macs": limit}, budget={"trials": 60}))
    driver.tell(Edit("start"))
    strategy = driver.all().conductor.strategy

    def share(drafts):
        return np.mean([context.costs(d.architecture)["n_macs"] <= limit for d in drafts])

    assert share(strategy._drafts(np.random.default_rng(0), 200, 1.0)) > 0.4


@pytest.mark.parametrize("name", ["factorized_reinforce"])
def test_two_objectives_drive_towards_the_front(name):
    """Late networks are dominated by fewer, and dominate more, than early ones."""
    settings = config(strategy={"name": name, **LEARNERS[name]}, objectives=TWO, budget={"trials": 150})
    driver = Driver(settings)
    driver.tell(Edit("start"))
    recorded = driver.all()
    history = recorded.conductor.history
    rewards = recorded.conductor.strategy.rewards
    early = [rewards.of(e) for e in list(history)[:30]]
    late = [rewards.of(e) for e in list(history)[-30:]]
    assert np.mean(late) > np.mean(early) + 0.1
