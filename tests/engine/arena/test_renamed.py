"""A renamed space is the same space: networks, costs and classes travel along, names and orders do not."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arena import race, score
from engine.arena.entrants import named
from engine.arena.renamed import Renamed
from engine.arena.synthetic import problem as synthetic
from engine.arena.tables import bound_space, data_of

from .small import problem

CONDITIONAL = {"stages": [{"width": [8, 12], "depth": [1, 2]}], "kernel": [3, 5], "expansion": [2.0, 3.0]}


@pytest.mark.parametrize(("name", "options"), [("nasbench201", {"cells": 1}), ("mobile", CONDITIONAL)])
def test_everything_about_a_network_travels_along(name, options):
    space = bound_space(name, options, data_of([]))
    other = Renamed.of(space, seed=5)
    rng = np.random.default_rng(0)
    assert other.size() == space.size()
    for _ in range(30):
        arch = space.sample(rng)
        new = other.forward(arch)
        assert other.back(new) == arch and other.validate(new.choices) == new
        assert other.costs(new) == space.costs(arch) and other.canonical_key(new) == space.canonical_key(arch)
        assert other.live_costs(new) == space.live_costs(arch) and other.plan(new) == space.plan(arch)
        assert {n.key for n in other.neighbours(new)} == {other.forward(n).key for n in space.neighbours(arch)}
        child = other.mutate(new, 1, rng)
        assert child != new and other.validate(child.choices) == child
        assert other.validate(other.crossover(new, child, rng).choices)
        assert not set(other.features(new)) & {d.name for d in space.all_decisions()}


def test_names_and_orders_are_new_and_scales_stay_scales():
    space = bound_space("nasbench201", {"cells": 1}, data_of([]))
    a, b = Renamed.of(space, 1), Renamed.of(space, 2)
    assert {d.name for d in a.all_decisions()} == {f"d{i}" for i in range(1, 7)}
    assert [d.options for d in a.all_decisions()] != [d.options for d in b.all_decisions()]
    blocks = bound_space("mobile", CONDITIONAL, data_of([]))
    scales = [d.options for d in blocks.all_decisions() if d.ordered]
    assert [d.options for d in Renamed.of(blocks, 1).all_decisions() if d.ordered] == scales


def test_restricting_keeps_the_names():
    other = Renamed.of(bound_space("nasbench201", {"cells": 1}, data_of([])), 1)
    first = other.all_decisions()[0]
    half = other.restrict({first.name: first.options[:2]})
    assert half.size() == other.size() * 2 // 5
    assert set(half.all_decisions()[0].options) == set(first.options[:2])


def test_a_strategy_that_looks_at_no_name_does_as_well():
    """Statistically, over seeds: the draws are others."""
    plain, other = synthetic("cell-pairs"), synthetic("cell-pairs", renamed=4)

    def at(p):
        runs = [race.run(p, named("regularized_evolution"), 40, s) for s in range(12)]
        return score.score(p, "x", runs, 40).at(40)

    tested = score.paired(at(plain), at(other))
    assert tested.p_t > 0.01
    assert problem(renamed=3).row_of.keys().isdisjoint(problem().row_of)
