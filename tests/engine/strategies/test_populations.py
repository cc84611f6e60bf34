"""Strategies with a population: who is better, who makes room, what a child is made of."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.conductor import Start
from engine.evaluation.base import Report
from engine.objectives import crowding, front, front_numbers, ranking
from engine.strategies._population import best_first, fronts, mutated
from engine.strategies.base import Proposal
from engine.strategies.genetic import one_point
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config


def searched(strategy, trials=60, **changes):
    """A finished search, one trial at a time."""
    driver = Driver(config(strategy=strategy, parallelism=1, budget={"trials": trials}, **changes))
    driver.tell(Edit("start"))
    return driver


def told(conductor, values, fidelity=27):
    """Random architectures as foreign trials with these metrics, all told."""
    entries = []
    for i, metrics in enumerate(values):
        architecture = conductor.context.space.sample(np.random.default_rng([9, i]))
        entry = conductor.history.add(Proposal(architecture, by="you"), conductor.context.costs)
        report = Report(metrics, fidelity, "table")
        conductor.history.record(entry.number, fidelity, report)
        conductor.strategy.tell(entry, report)
        entries.append(entry)
    return entries


# -- ranking --------------------------------------------------------------------------------------
@pytest.mark.parametrize("m", [1, 2, 3])
def test_front_numbers_peel_one_front_after_the_other(m):
    """Against taking `front` away again and again; rows with +inf come last."""
    rng = np.random.default_rng(m)
    for n in (0, 1, 7, 40):
        values = rng.integers(0, 6, size=(n, m)).astype(float)
        values[rng.random((n, m)) < 0.05] = np.inf
        expected, left, number = np.zeros(n, dtype=int), np.arange(n), 0
        while left.size and (top := front(values[left])).size:
            expected[left[top]] = number
            left = np.delete(left, top)
            number += 1
        expected[left] = number
        assert front_numbers(values).tolist() == expected.tolist()


def test_ranking_is_the_crowded_comparison():
    """Lower front first; within a front the larger crowding distance (Deb et al. 2002, III-B)."""
    values = np.random.default_rng(0).random((30, 3))
    numbers, order = front_numbers(values), ranking(values).tolist()
    assert [numbers[i] for i in order] == sorted(numbers)
    first = np.flatnonzero(numbers == 0)
    distance = dict(zip(first.tolist(), crowding(values[first]).tolist(), strict=True))
    along = [distance[i] for i in order[: len(first)]]
    assert along == sorted(along, reverse=True)


def test_trials_of_brackets_are_ranked_each_among_its_own():
    """Without a level in common: merged by the share that is better, not by values of different epochs."""
    c = conductor_of(config(strategy="tournament_evolution"))
    low = told(c, [{"accuracy": a} for a in (0.1, 0.2, 0.3)], fidelity=3)
    high = told(c, [{"accuracy": a} for a in (0.8, 0.7)], fidelity=27)
    assert [e.number for e in best_first([*low, *high])] == [3, 4, 2, 5, 1]
    assert fronts([*low, *high]) == {1: 2, 2: 1, 3: 0, 4: 0, 5: 1}


def test_mutation_is_binomial_with_a_least():
    """The rate's share of decisions on average, and never fewer than asked for."""
    space = conductor_of(config(space={"name": "nasbench201", "cells": 1})).context.space
    arch, rng = space.sample(np.random.default_rng(0)), np.random.default_rng(1)
    n = [len(space.difference(arch, mutated(space, arch, 0.5, 0, rng))) for _ in range(300)]
    assert 2.7 < np.mean(n) < 3.3 and min(n) == 0 and max(n) == 6
    n = [len(space.difference(arch, mutated(space, arch, None, 0, rng))) for _ in range(300)]
    assert 0.8 < np.mean(n) < 1.2
    assert all(len(space.difference(arch, mutated(space, arch, 0.0, 2, rng))) == 2 for _ in range(20))


# -- who makes room -------------------------------------------------------------------------------
def test_without_ageing_the_best_so_far_live():
    """One at a time, one objective: the population is always the best P of all that were told."""
    driver = searched({"name": "tournament_evolution", "population": 8, "sample": 3})
    c = driver.out.conductor
    while c.finish is None:
        before = set(c.strategy.population)
        for action in driver.finish_one():
            if isinstance(action, Start) and action.proposal.parents:
                assert action.proposal.parents[0] in before | {action.trial - 1}
        done = sorted((c.history[n].loss(), n) for n in c.history.told)
        assert set(c.strategy.population) == {n for _, n in done[:8]}


def test_the_whole_tournament_takes_the_best():
    """S = P: every child is one change from the best so far."""
    driver = searched({"name": "tournament_evolution", "population": 6, "sample": 6}, trials=40)
    history, space = driver.all().conductor.history, driver.out.conductor.context.space
    for entry in history:
        if entry.proposal.parents:
            best = min((history[n] for n in range(1, entry.number)), key=lambda e: e.loss())
            assert entry.proposal.parents == (best.number,)
            assert len(space.difference(best.architecture, entry.architecture)) >= 1


def test_nsga2_keeps_the_best_of_parents_and_children():
    """At the end of each generation, by brute force over both."""
    driver = searched({"name": "nsga2", "population": 8}, trials=64, objectives=TWO)
    c, parents = driver.out.conductor, []
    while c.finish is None:
        driver.finish_one()
        if len(c.history.told) % 8 == 0:
            both = sorted({*parents, *c.history.told[-8:]})
            values = np.array([c.history[n].loss() for n in both])
            assert c.strategy.population == sorted(both[i] for i in ranking(values)[:8])
            assert c.strategy.generation == len(c.history.told) // 8
            parents = c.strategy.population
    assert c.strategy.views()["front"]["rows"]


def test_a_generation_keeps_its_elite_and_its_best_children():
    """Elite share 0.25 of 8: two parents and the six best children."""
    driver = searched({"name": "genetic", "population": 8, "elite": 0.25}, trials=64)
    c, parents = driver.out.conductor, []
    while c.finish is None:
        driver.finish_one()
        if len(c.history.told) % 8 == 0:
            by_value = lambda n: (c.history[n].loss(), n)  # noqa: E731
            elite = sorted(parents, key=by_value)[:2]
            children = sorted(c.history.told[-8:], key=by_value)[: 8 - len(elite)]
            assert c.strategy.population == sorted([*elite, *children])
            parents = c.strategy.population


def test_linear_ranking_gives_the_best_its_children():
    """Baker 1985: the best of n is chosen with probability pressure / n, the worst with (2 - pressure) / n."""
    c = conductor_of(config(strategy={"name": "genetic", "population": 4, "selection": "rank", "pressure": 1.6}))
    told(c, [{"accuracy": a} for a in (0.4, 0.1, 0.3, 0.2)])
    rng, n = np.random.default_rng(0), 4000
    drawn = [c.strategy._select(rng, None).number for _ in range(n)]
    share = [drawn.count(k) / n for k in (1, 3, 4, 2)]
    assert np.abs(np.array(share) - np.linspace(1.6, 0.4, 4) / 4).max() < 0.025


def test_one_point_crossover_cuts_once():
    """A beginning of one parent and the end of the other, each of the five cuts."""
    space = conductor_of(config(space={"name": "nasbench201", "cells": 1})).context.space
    a, b = (space.validate({d.name: d.options[i] for d in space.all_decisions()}) for i in (0, 1))
    patterns = set()
    for i in range(200):
        child = one_point(space, a, b, np.random.default_rng(i))
        patterns.add("".join("a" if child[n] == a[n] else "b" for n in child.choices))
    assert patterns == {"a" * k + "b" * (6 - k) for k in range(1, 6)}


def test_the_front_does_not_die_of_age():
    """Who leaves is the oldest off the front."""
    driver = searched({"name": "aging_nsga2", "population": 8}, trials=60, objectives=TWO)
    c = driver.out.conductor
    left = 0
    while c.finish is None:
        before = list(c.strategy.population)
        driver.finish_one()
        everyone = [*before, c.history.told[-1]]
        numbers = front_numbers(np.array([c.history[n].loss() for n in everyone]))
        if set(c.strategy.population) != set(everyone) and numbers.any():
            oldest = next(n for n, k in zip(everyone, numbers, strict=True) if k)
            assert set(everyone) - set(c.strategy.population) == {oldest}
            left += 1
    assert left > 40


def test_of_a_front_that_is_too_long_the_most_crowded_goes():
    """Five on a line, room for four: the one with the nearest neighbours; the ends stay."""
    c = conductor_of(config(strategy={"name": "aging_nsga2", "population": 4}, objectives=TWO))
    told(c, [{"accuracy": x, "n_params": 100 * x} for x in (0.1, 0.5, 0.55, 0.7, 0.9)])
    assert c.strategy.population == [1, 2, 4, 5]


@pytest.mark.parametrize("strategy", ["nsga2", "genetic"])
def test_nobody_waits_for_a_generation(strategy):
    """Eight workers, generations of eight: eight are always under way."""
    driver = Driver(config(strategy={"name": strategy, "population": 8}, parallelism=8, budget={"trials": 60}))
    driver.tell(Edit("start"))
    while len(driver.out.conductor.history) < 60:
        assert len(driver.running) == 8
        driver.finish_one()


@pytest.mark.parametrize("strategy", ["nsga2", "aging_nsga2", "genetic", "tournament_evolution"])
def test_views_say_where_everybody_came_from(strategy):
    """One row for each alive, ranks from 1, parents that are older; plain JSON."""
    driver = searched(strategy, objectives=TWO)
    views = driver.all().conductor.views()
    json.dumps(views, allow_nan=False)
    rows = views["population"]["rows"]
    assert sorted(r[2] for r in rows) == list(range(1, len(rows) + 1))
    assert all(parent < trial for trial, parent in views["genealogy"]["rows"])
