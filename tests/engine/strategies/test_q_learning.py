"""The paper's update by hand, its schedule, what a state remembers, replay."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.base import Report
from engine.strategies.base import Proposal
from engine.strategies.q_learning import epsilon, greedy, learning_rate
from tests.engine.driving import conductor_of, config

SPACE = {"name": "nasbench201", "cells": 1, "operations": ["none", "skip_connect"]}


def strategy_of(**options):
    return conductor_of(config(strategy={"name": "q_learning", **options}, space=SPACE)).strategy


def told(conductor, choices, accuracy):
    """Tells one trial."""
    entry = conductor.history.add(Proposal(conductor.context.space.validate(choices)), conductor.context.costs)
    report = Report({"accuracy": accuracy}, 27, "table")
    conductor.history.record(entry.number, 27, report)
    conductor.strategy.tell(entry, report)


def test_the_update_of_the_paper_by_hand():
    """Reward at the end, from the last choice to the first, alpha 0.1, initial values 0.5."""
    strategy = strategy_of(alpha=0.1, shaping=False, memory=None)
    path = [([0.5, 0.5], 0), ([0.5, 0.5], 1), ([0.5, 0.7], 1)]
    strategy.update(path, 1.0)
    assert path[2][0] == pytest.approx([0.5, 0.73])  # 0.7 + 0.1 (1 - 0.7)
    assert path[1][0] == pytest.approx([0.5, 0.523])  # 0.5 + 0.1 (0.73 - 0.5)
    assert path[0][0] == pytest.approx([0.5023, 0.5])  # 0.5 + 0.1 (0.523 - 0.5)
    strategy.update(path, 0.0)
    assert path[2][0] == pytest.approx([0.5, 0.657])
    assert path[1][0] == pytest.approx([0.5, 0.523 + 0.1 * (0.657 - 0.523)])


def test_a_shaped_reward_by_hand():
    """A third of 0.9 at each of three choices."""
    strategy = strategy_of(alpha=0.1, memory=None)
    path = [([0.5, 0.5], 0), ([0.3, 0.4], 1), ([0.2, 0.1], 1)]
    strategy.update(path, 0.9)
    assert path[2][0] == pytest.approx([0.2, 0.12])  # 0.1 + 0.1 (0.3 - 0.1)
    assert path[1][0] == pytest.approx([0.3, 0.41])  # 0.4 + 0.1 (0.3 + 0.2 - 0.4)
    assert path[0][0] == pytest.approx([0.521, 0.5])  # 0.5 + 0.1 (0.3 + 0.41 - 0.5)


def test_values_settle_at_the_reward_of_the_best():
    """Told again and again, the first choice is worth what the best of its networks is (gamma = 1)."""
    strategy = strategy_of(alpha=0.2, shaping=False, memory=None)
    grammar = strategy.grammar
    rewards = {a: i / 64 for i, a in enumerate(grammar.space.enumerate())}
    for _ in range(60):
        for architecture, reward in rewards.items():
            strategy.update(strategy.path(grammar.read(architecture)), reward)
    (values, _), *_ = strategy.path(grammar.read(next(iter(rewards))))
    best = {o: max(r for a, r in rewards.items() if a.items[0][1] == o) for o in ("none", "skip_connect")}
    assert values == pytest.approx(list(best.values()), abs=1e-3)


def test_the_schedule_is_the_papers_where_its_share_is_taken():
    """1.0 for 1,500 of 2,700 models, then 0.9 to 0.7 for 100 each, 0.6 to 0.1 for 150 each."""
    paper = [1.0] * 1500 + [e for e, n in zip((0.9, 0.8, 0.7), (100,) * 3, strict=True) for _ in range(n)]
    paper += [e for e in (0.6, 0.5, 0.4, 0.3, 0.2, 0.1) for _ in range(150)]
    got = [epsilon(n, 2700, 1500 / 2700) for n in range(1, 2701)]
    assert sum(a != b for a, b in zip(got, paper, strict=True)) <= 9  # rounding where it changes
    scaled = [epsilon(n, 200, 0.25) for n in range(1, 250)]
    assert scaled[:50] == [1.0] * 50 and scaled[50] == 0.9 and scaled[199:] == [0.1] * 50
    assert sorted(scaled, reverse=True) == scaled
    assert epsilon(1, 10, 0.0) == 0.9 and epsilon(10, 10, 1.0) == 1.0


def test_the_rate_scales_with_the_budget():
    assert [learning_rate(None, n) for n in (20, 2700, 20_000)] == [0.1, 0.01, 0.01]
    assert learning_rate(0.3, 20) == 0.3


def test_epsilon_greedy():
    """Ties share what is not spread over all."""
    assert greedy([0.1, 0.7, 0.7], 0.3) == pytest.approx([0.1, 0.45, 0.45])
    assert greedy([0.1, 0.7], 1.0) == pytest.approx([0.5, 0.5])


def test_what_a_state_remembers():
    """With a memory of one, what was chosen before the last choice makes no other state; without bound it does."""
    for memory, same in ((1, True), (2, False), (None, False)):
        strategy = strategy_of(memory=memory)
        space, grammar = strategy.context.space, strategy.grammar
        names = [d.name for d in space.all_decisions()]
        a = space.validate(dict.fromkeys(names, "none"))
        b = space.validate({**dict.fromkeys(names, "none"), names[0]: "skip_connect"})
        third = [strategy.path(grammar.read(x))[2][0] for x in (a, b)]
        assert (third[0] is third[1]) == same


def test_replay_draws_from_all_results_and_follows_from_the_log():
    """The same results give the same table; without replay a result moves its own path alone, and less."""
    rng = np.random.default_rng(0)
    results = [(strategy_of().context.space.sample(rng).choices, float(rng.random())) for _ in range(10)]
    tables = []
    for replay in (100, 100, 0):
        c = conductor_of(config(strategy={"name": "q_learning", "replay": replay}, space=SPACE))
        for choices, accuracy in results:
            told(c, choices, accuracy)
        tables.append({k: v.copy() for k, v in c.strategy.arrays().items()})
    assert (tables[0]["values"] == tables[1]["values"]).all()
    assert (tables[0]["states"] == tables[2]["states"]).all()
    assert (tables[0]["values"] != tables[2]["values"]).any()


def test_looking_changes_nothing():
    """Views of a table walk through states that may be unknown."""
    strategy = strategy_of()
    assert strategy.views()["values"]["rows"] and strategy.arrays()["states"].size == 0
