"""Largest first: live operations, ties, and the walk down where a space is not listed."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conductor import Start
from engine.docs import example_spaces
from engine.strategies import largest_first
from engine.strategies._descent import Descent
from tests.engine.driving import Driver, Edit, config


def sizes_of(by, count, **changes):
    """Sizes of what was proposed, in order, and the conductor."""
    strategy = {"name": "largest_first", "by": by, "count": count}
    driver = Driver(config(strategy=strategy, duplicates="written", **changes))
    driver.tell(Edit("start"))
    conductor = driver.out.conductor
    starts = driver.all().of(Start)
    space = conductor.context.space
    return [largest_first.size_of(space, a.proposal.architecture, by, count) for a in starts], conductor


@pytest.mark.parametrize("by", ["n_macs", "n_params"])
@pytest.mark.parametrize("listed", [True, False])
def test_live_operations_count_alone(by, listed, monkeypatch):
    """Against brute force over plans' live nodes; also without listing the space."""
    if not listed:
        monkeypatch.setattr(largest_first, "SORTED", 10)
    found, conductor = sizes_of(by, "live", budget={"trials": 60})
    space = conductor.context.space
    expected = sorted((space.live_costs(a)[by == "n_macs"] for a in space.enumerate()), reverse=True)
    assert found == expected[:60]
    if listed:
        written, _ = sizes_of(by, "written", budget={"trials": 60})
        assert written != found


def test_the_walk_measures_few_and_is_exact_where_sizes_add_up():
    """Two of 150 neighbours an architecture, once the changes are known; the order is that of sorting."""
    space = example_spaces()["nasbench201"]
    measured = 0

    def size(arch):
        nonlocal measured
        measured += 1
        return float(space.costs(arch).n_macs)

    walk = Descent(space, size, lambda a: a.key, lambda a: a.key, np.random.default_rng(0))
    before = measured
    order = [space.costs(walk.next()).n_macs for _ in range(400)]
    expected = sorted((space.costs(a).n_macs for a in space.enumerate()), reverse=True)
    assert order == expected[:400]
    assert (measured - before) / 400 < 4


def test_the_walk_visits_everything_that_is_connected_once():
    """To the last one."""
    space = example_spaces()["nasbench201"].restrict({"edge0_1": ["none", "nor_conv_3x3"], "edge0_2": ["none"]})
    walk = Descent(
        space, lambda a: float(space.costs(a).n_params), lambda a: a.key, lambda a: a.key, np.random.default_rng(1)
    )
    found = []
    while (arch := walk.next()) is not None:
        found.append(arch)
    assert len(found) == len(set(found)) == space.size()


def test_the_walk_does_not_go_through_all_writings_of_one_network():
    """Nodes of a graph can be numbered in many ways: one of them stands for all."""
    space = example_spaces()["graph"]
    walk = Descent(
        space, lambda a: float(space.costs(a).n_macs), lambda a: a.key, space.canonical_key, np.random.default_rng(0)
    )
    found = [walk.next() for _ in range(12)]
    assert len({space.canonical_key(a) for a in found}) == 12


def test_the_view_pairs_sizes_with_results():
    """One point a trial with a result."""
    _, conductor = sizes_of("n_macs", "live", budget={"trials": 12})
    table = conductor.strategy.views()["size"]
    assert table["columns"] == ["trial", "live multiply-adds", "accuracy"] and len(table["rows"]) == 12
    assert conductor.strategy.sentence(conductor.strategy.options, conductor.config.budget) == (
        "the 12 networks with the most live multiply-adds, the largest first"
    )
