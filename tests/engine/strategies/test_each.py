"""What is particular to each strategy."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conductor import Start
from engine.errors import InvalidConfig
from engine.strategies.base import Exhausted, Wait
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config


def test_random_with_repeats_makes_replicates():
    """Two architectures, twenty draws: the n-th repeat is replicate n."""
    space = {"name": "nasbench201", "cells": 1, "operations": ["skip_connect", "nor_conv_1x1"]}
    strategy = {"name": "random", "repeats": True, "draw": "uniform"}
    driver = Driver(config(strategy=strategy, space=space, duplicates="allowed", budget={"trials": 300}))
    driver.tell(Edit("start"))
    proposals = [a.proposal for a in driver.all().of(Start)]
    counts: dict[str, int] = {}
    for p in proposals:
        assert p.replicate == counts.get(p.architecture.key, 0)
        counts[p.architecture.key] = p.replicate + 1
    assert len(counts) > 50 and max(counts.values()) > 3


def test_random_without_repeats_holds_where_duplicates_are_allowed():
    """The option is the strategy's own promise."""
    space = {"name": "nasbench201", "cells": 1, "operations": ["skip_connect", "nor_conv_1x1"]}
    driver = Driver(config(space=space, duplicates="allowed", budget={"trials": 60}))
    driver.tell(Edit("start"))
    assert len({a.proposal.architecture for a in driver.all().of(Start)}) == 60


def test_random_refuses_repeats_that_the_search_forbids():
    """The error stands at the option."""
    with pytest.raises(InvalidConfig) as e:
        conductor_of(config(strategy={"name": "random", "repeats": True}))
    assert e.value.errors[0][0] == ("strategy", "repeats")


@pytest.mark.parametrize("by", ["n_macs", "n_params"])
def test_largest_first_goes_down_in_order(by):
    """Against brute force over the whole space."""
    driver = Driver(config(strategy={"name": "largest_first", "by": by}, duplicates="written", budget={"trials": 60}))
    context = driver.out.conductor.context
    driver.tell(Edit("start"))
    sizes = [context.costs(a.proposal.architecture)[by] for a in driver.all().of(Start)]
    everything = sorted((getattr(context.space.costs(a), by) for a in context.space.enumerate()), reverse=True)
    assert sizes == everything[:60]


def test_largest_first_finds_the_same_order_without_listing_the_space(monkeypatch):
    """Best-first over neighbours equals sorting, where costs add up; also below a limit's largest."""
    from engine.strategies import largest_first

    monkeypatch.setattr(largest_first, "SORTED", 10)
    driver = Driver(config(strategy="largest_first", duplicates="written", budget={"trials": 200}))
    context = driver.out.conductor.context
    driver.tell(Edit("start"))
    sizes = [context.costs(a.proposal.architecture)["n_macs"] for a in driver.all().of(Start)]
    everything = sorted((context.space.costs(a).n_macs for a in context.space.enumerate()), reverse=True)
    assert sizes == everything[:200]


def test_ties_of_largest_first_are_broken_by_the_seed():
    """Equal sizes come in an order of the seed's own."""

    def first(seed):
        driver = Driver(config(strategy="largest_first", duplicates="written", seed=seed, parallelism=60))
        return [a.proposal.architecture for a in driver.tell(Edit("start")) if isinstance(a, Start)]

    assert first(1) != first(2)


def test_evolution_children_come_from_the_living():
    """Every child differs from its parent in one decision, and the parent was alive when it was chosen."""
    settings = config(strategy={"name": "regularized_evolution", "population": 10, "sample": 3}, budget={"trials": 80})
    driver = Driver(settings)
    driver.tell(Edit("start"))
    alive_at: dict[int, set[int]] = {}
    while driver.out.finish is None:
        alive = set(driver.out.conductor.strategy.population)
        new = [a for a in driver.finish_one() if isinstance(a, Start)]
        told = set(driver.out.conductor.strategy.population)
        for action in new:
            alive_at[action.trial] = alive | told
    history, space = driver.out.conductor.history, driver.out.conductor.context.space
    children = [e for e in history if e.proposal.parents]
    assert len(children) == 70
    for child in children:
        (parent,) = child.proposal.parents
        assert parent in alive_at[child.number]
        assert len(space.difference(history[parent].architecture, child.architecture)) == 1
        assert child.proposal.why.startswith(f"#{parent}: ")
    assert history[1].proposal.why == "random, 1 of 10 to start with"
    assert list(driver.out.conductor.strategy.population) == history.told[-10:]


def test_evolution_in_parallel_copies_nobody_under_way():
    """Also where duplicates are allowed."""
    settings = config(
        strategy={"name": "regularized_evolution", "population": 4, "sample": 4}, duplicates="allowed", parallelism=12
    )
    driver = Driver(settings)
    driver.tell(Edit("start"))
    while driver.out.finish is None:
        running = [driver.out.conductor.history[n].architecture for n in driver.running]
        assert len(set(running)) == len(running)
        driver.finish_one()


def test_evolution_scales_with_the_budget():
    """As the sentence says."""
    from engine.strategies.regularized_evolution import Options, RegularizedEvolution, sizes

    assert sizes(Options(), 30) == (8, 4)
    assert sizes(Options(), 400) == (100, 25)
    assert sizes(Options(population=3, sample=50), 400) == (3, 3)
    assert RegularizedEvolution.sentence(Options(), config().budget) == (
        "8 random networks, then 22 times one change to the best of 4 drawn from the last 8"
    )


def test_evolution_with_two_objectives_prefers_the_front():
    """With the whole population drawn, every parent is non-dominated in it."""
    settings = config(
        strategy={"name": "regularized_evolution", "population": 12, "sample": 12},
        objectives=TWO, parallelism=1, budget={"trials": 40},
    )  # fmt: skip
    driver = Driver(settings)
    driver.tell(Edit("start"))
    c = driver.out.conductor
    while c.finish is None:
        for action in driver.finish_one():
            if isinstance(action, Start) and action.proposal.parents:
                alive = [c.history[n] for n in c.strategy.population]
                parent = c.history[action.proposal.parents[0]].loss()
                assert not any(all(x <= y for x, y in zip(e.loss(), parent)) and e.loss() != parent for e in alive)  # noqa: B905


def test_local_search_moves_at_the_first_improvement():
    """One at a time: every neighbour belongs to the best so far of this climb; an optimum has no better neighbour."""
    settings = config(strategy={"name": "local_search", "initial": 5}, parallelism=1, budget={"trials": 150})
    driver = Driver(settings)
    driver.tell(Edit("start"))
    c = driver.out.conductor
    driver.all()
    best = None
    for entry in c.history:
        if entry.number <= 5:
            best = entry if best is None or entry.loss() < best.loss() else best
        elif entry.proposal.parents:
            if entry.proposal.parents[0] != best.number:  # a restart, or a known better neighbour
                best = c.history[entry.proposal.parents[0]]
            if entry.loss() < best.loss():
                best = entry
    optima = c.strategy.optima
    assert optima
    for number in optima:
        around = c.context.space.neighbours(c.history[number].architecture)
        for neighbour in around:
            known = c.context.trials_of(neighbour)
            assert known, "an optimum was declared before all its neighbours were tried"
            assert all(c.history[n].loss() >= c.history[number].loss() for n in known)


def test_local_search_waits_for_its_start_and_says_so():
    """With more slots than random points the rest stays free until they are in."""
    driver = Driver(config(strategy={"name": "local_search", "initial": 3}, parallelism=6))
    driver.tell(Edit("start"))
    assert len(driver.running) == 3
    (reason,) = driver.out.conductor.waiting()
    assert "best of 3 random networks" in reason["why"]
    assert isinstance(driver.out.conductor.strategy.ask(1), Wait)
    for _ in range(3):
        driver.finish_one()
    assert len(driver.running) == 6


def test_when_nothing_fits_the_limits_the_search_ends_with_the_reason():
    """No trial is spent."""
    driver = Driver(config(limits={"n_macs": 10.0}))
    driver.tell(Edit("start"))
    finish = driver.out.finish
    assert finish.failed and "within the limits" in finish.reason
    assert len(driver.out.conductor.history) == 0
    assert isinstance(driver.out.conductor.strategy.ask(1), Exhausted)


def test_a_strategy_learns_from_what_is_not_its_own():
    """Told a foreign trial, evolution may breed from it."""
    c = conductor_of(config(strategy={"name": "regularized_evolution", "population": 2, "sample": 2}))
    from engine.evaluation.base import Report
    from engine.strategies.base import Proposal

    entry = c.history.add(Proposal(c.context.space.sample(np.random.default_rng(0)), by="person"), c.context.costs)
    report = Report({"accuracy": 0.9}, 27, "table")
    c.history.record(entry.number, 27, report)
    c.strategy.tell(entry, report)
    assert list(c.strategy.population) == [entry.number]
