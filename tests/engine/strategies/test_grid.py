"""The shuffled grid: a permutation of the whole space that nobody writes down."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conductor import Start
from engine.strategies._permutation import Permutation
from engine.strategies.grid import spread
from tests.engine.driving import Driver, Edit, conductor_of, config

TINY = {"name": "nasbench201", "cells": 1, "operations": ["none", "skip_connect", "nor_conv_1x1"]}


@pytest.mark.parametrize("n", [1, 2, 3, 5, 64, 65, 1000])
def test_a_permutation_holds_each_number_once(n):
    """And another key gives another one."""
    order = [Permutation(n, "a")[i] for i in range(n)]
    assert sorted(order) == list(range(n))
    if n > 5:
        assert order != list(range(n)) and order != [Permutation(n, "b")[i] for i in range(n)]


def test_a_permutation_of_a_huge_range_looks_random():
    """Nothing twice among 2,000 of 10^30; means of the first places, of bits and of steps as chance has them."""
    n = 10**30
    order = Permutation(n, "seed 1")
    found = [order[i] for i in range(2000)]
    assert len(set(found)) == 2000 and all(0 <= v < n for v in found)
    u = np.array([v / n for v in found])
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 2000)
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 4 / np.sqrt(2000)
    with pytest.raises(IndexError):
        order[n]


def test_every_architecture_comes_once():
    """As written, all 729 of them; the seed gives the order."""

    def sequence(seed, **options):
        strategy = {"name": "grid", **options}
        settings = config(strategy=strategy, space=TINY, duplicates="written", seed=seed, budget={"trials": 900})
        driver = Driver(settings)
        driver.tell(Edit("start"))
        recorded = driver.all()
        assert "exhausted" in recorded.finish.reason
        return [a.proposal.architecture for a in recorded.of(Start)], recorded.conductor.context.space

    first, space = sequence(1)
    assert len(first) == len(set(first)) == space.size() == 729
    again, _ = sequence(2)
    assert again != first
    written, _ = sequence(1, shuffled=False)
    assert written == list(space.enumerate())


def test_it_starts_at_once_in_a_space_of_ten_to_the_eighteen():
    """State is a number; a restored one goes on with the next place."""
    evaluator = {"name": "tabular", "input_shape": [3, 32, 32]}
    settings = config(strategy="grid", space={"name": "darts"}, evaluator=evaluator)
    one, other = conductor_of(settings), conductor_of(settings)
    assert one.context.space.size() > 10**18
    first = one.strategy.ask(20)
    assert len({p.architecture for p in first}) == 20
    other.strategy.load(one.strategy.state())
    following = one.strategy.ask(5)
    assert other.strategy.ask(5) == following
    assert not {p.architecture for p in following} & {p.architecture for p in first}


def test_levels_take_a_few_options_of_each_scale():
    """Both ends among them; what is no scale keeps all."""
    assert spread([1, 2, 3, 4, 5], 3) == [1, 3, 5] and spread([1, 2, 3, 4, 5], 2) == [1, 5]
    assert spread([1, 2, 3], 1) == [2] and spread([1, 2], 5) == [1, 2]
    driver = Driver(config(strategy={"name": "grid", "levels": 2}, space={"name": "layers"}, budget={"trials": 40}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    space = recorded.conductor.context.space
    kept = {d.name: spread(d.options, 2) for d in space.all_decisions() if d.ordered}
    assert kept
    starts = [a.proposal.architecture for a in recorded.of(Start)]
    assert all(o in kept[n] for a in starts for n, o in a.items if n in kept)
    assert recorded.conductor.strategy.size == space.restrict(kept).size() < space.size()


def test_the_view_says_how_far_it_is():
    """Half of a small space."""
    driver = Driver(config(strategy="grid", space=TINY, duplicates="written", budget={"trials": 365}))
    driver.tell(Edit("start"))
    views = driver.all().conductor.strategy.views()
    rows = dict(views["grid"]["rows"])
    assert rows["places passed"] == 365 and abs(rows["share passed, %"] - 50.07) < 0.01
    assert sum(n for _, n in views["covered"]["rows"]) == 365 * 6
