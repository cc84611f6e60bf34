"""Monte-Carlo tree search: rewards by brute force, UCT by hand, virtual losses, closed branches."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest

from engine.history import dominates
from engine.strategies._search_tree import Node, Standing, backed_up
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config

TINY = {"name": "nasbench201", "cells": 1, "operations": ["none", "skip_connect", "nor_conv_1x1"]}


@pytest.mark.parametrize("objectives", [1, 2])
def test_rewards_are_the_share_of_results_that_are_not_better(objectives):
    """Against brute force, with ties, failures and two levels."""
    rng, standing = np.random.default_rng(0), Standing(objectives)
    told = []
    for i in range(150):
        losses = tuple(rng.integers(0, 12, size=objectives).astype(float)) if i % 9 else (np.inf,) * objectives
        level = ("table", 3 if i % 4 else 9)
        assert standing.add(losses, level) == i
        told.append((losses, level))
    for (losses, level), reward in zip(told, standing.rewards, strict=True):
        alike = [other for other, at in told if at == level]
        better = sum(dominates(other, losses) for other in alike)
        assert reward == pytest.approx((len(alike) - better) / (len(alike) + 1))


def test_a_trial_enters_the_nodes_it_passes_and_expands_one():
    """The tree of three trials, node by node."""
    space = conductor_of(config(space=TINY)).context.space
    first, *_ = space.enumerate()
    same, root = first.choices | {"edge2_3": "skip_connect"}, Node()
    backed_up(root, space, first, 0)
    assert list(root.results) == [0] and list(root.children) == ["none"]
    child = root.children["none"]
    assert list(child.results) == [0] and not child.children
    backed_up(root, space, space.validate(same), 1)
    assert list(child.results) == [0, 1] and list(child.children) == ["none"]
    assert list(child.children["none"].results) == [1]
    assert child.sum(np.array([0.25, 0.5])) == 0.75


def test_a_branch_is_closed_when_all_beneath_was_tried():
    """All architectures of a space, often enough for the tree to reach its leaves."""
    narrow = {**TINY, "operations": ["none", "skip_connect"]}
    space = conductor_of(config(space=narrow)).context.space
    root, everything = Node(), list(space.enumerate())
    passes = 0
    while not root.closed:
        assert passes < 6, "each pass adds a node to every path that is not complete"
        open_before = [child.closed for child in root.children.values()]
        for i, architecture in enumerate(everything):
            assert not root.closed
            backed_up(root, space, architecture, None if passes else i)
            if root.closed:
                break
        passes += 1
    assert passes > 1 and not all(open_before)
    assert all(child.closed for child in root.children.values())


def searched(**changes):
    """A search one trial at a time, and after how many results to look at it."""
    driver = Driver(config(space=TINY, duplicates="written", parallelism=1, **changes))
    driver.tell(Edit("start"))
    return driver


def test_selection_takes_the_largest_upper_confidence_bound():
    """At the root, after each of forty results, from what the history says; nobody is under way."""
    driver = searched(strategy={"name": "mcts", "exploration": 0.7, "rollout": "random"}, budget={"trials": 41})
    c = driver.out.conductor
    decision, rng = c.context.space.next({}), np.random.default_rng(0)
    chosen = set()
    while c.finish is None:
        driver.finish_one()
        done = [e for e in c.history if e.values]
        values = np.array([e.loss() for e in done])[:, 0]
        by: dict[object, list[float]] = {}
        for e in done:
            reward = (len(done) - (values < e.loss()[0]).sum()) / (len(done) + 1)
            by.setdefault(e.architecture["edge0_1"], []).append(reward)
        if len(by) < 3:
            continue
        bounds = {o: np.mean(r) + 0.7 * sqrt(log(len(done)) / len(r)) for o, r in by.items()}
        option = c.strategy._choose(c.strategy.root, decision, {}, rng)
        assert bounds[option] == pytest.approx(max(bounds.values()))
        chosen.add(option)
    assert len(chosen) > 1


def test_trials_under_way_spread():
    """Six at once differ in the first decision; without virtual losses they would all take the best one."""
    settings = config(
        strategy={"name": "mcts", "exploration": 0.0, "rollout": "random"}, space=TINY, duplicates="written",
        parallelism=6,
    )  # fmt: skip
    driver = Driver(settings)
    firsts = {a.proposal.architecture["edge0_1"] for a in driver.tell(Edit("start"))}
    assert firsts == set(TINY["operations"])


def test_it_finds_the_best_first_decision_of_a_space_where_that_is_all():
    """Accuracy is told by one option: most trials go there; the view shows its Q above the others'."""
    driver = searched(strategy="mcts", budget={"trials": 60})
    c = driver.out.conductor
    rng = np.random.default_rng(0)
    while c.finish is None:
        (trial,) = driver.running
        good = c.history[trial].architecture["edge0_1"] == "skip_connect"
        driver.finish_one(metrics={"accuracy": float(0.5 + 0.3 * good + 0.05 * rng.normal())})
    chosen = [e.architecture["edge0_1"] for e in c.history]
    assert chosen[30:].count("skip_connect") > 22
    views = c.strategy.views()
    decision = views["q"]["rows"][0][0]
    q = {row[1]: row[2] for row in views["q"]["rows"] if row[0] == decision}
    assert max(q, key=q.get) == c.context.space.format("edge0_1", "skip_connect")
    assert views["visits"]["rows"][0][0].startswith(decision)


def test_a_failure_counts_as_worst_and_a_cancelled_trial_not_at_all():
    """Both are never tried again."""
    driver = Driver(config(strategy="mcts", objectives=TWO, parallelism=3, budget={"trials": 20}))
    driver.tell(Edit("start"))
    driver.finish_one(3)
    driver.fail_one(1)
    driver.tell(Edit("cancel_trial", {"trial": 2}))
    strategy = driver.out.conductor.strategy
    assert strategy.standing.n == 2 and strategy.standing.rewards.argmin() == 1
    assert not any(n in strategy._running for n in (1, 2, 3))
