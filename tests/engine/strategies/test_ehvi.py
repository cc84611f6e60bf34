"""EHVI and ParEGO: what they choose is what their papers say."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from engine.conductor import Start
from engine.history import common_level
from engine.hypervolume import hypervolume
from engine.strategies._writings import Writings
from engine.strategies.base import Proposal
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config

SMALL = {"name": "nasbench201", "cells": 1, "operations": ["none", "skip_connect", "nor_conv_1x1"]}


def measured(n, seed=0, **changes):
    """A conductor with so many results of the table, told as a search would be."""
    settings = config(space=SMALL, objectives=TWO, parallelism=1, seed=seed, budget={"trials": n}, **changes)
    driver = Driver(settings)
    driver.tell(Edit("start"))
    return driver.all().conductor


def written(n):
    """A search whose rows count as written, with so many trials begun."""
    settings = config(strategy="ehvi", space=SMALL, objectives=TWO, duplicates="written", budget={"trials": 60})
    driver = Driver(settings)
    driver.tell(Edit("start"))
    while len(driver.out.conductor.history) < n:
        driver.finish_one()
    return driver


def test_it_takes_what_adds_most():
    """By hand over all candidates: the improvement of each under its model, sampled, has its maximum there."""
    c = measured(15, strategy="ehvi", seed=1)
    strategy = c.strategy
    proposal = strategy.propose(16, np.random.default_rng(0))
    values, reference = strategy.losses, strategy.reference_point()
    have, z = hypervolume(values, reference), norm.ppf((np.arange(400) + 0.5) / 400)
    gains = {}
    for architecture in strategy._candidates(np.random.default_rng(0)):
        mean, sd = strategy.predicted([architecture])
        spread = np.hypot(sd[0, 0], strategy._process(0).noise)
        losses = strategy._process(0).losses(mean[0, 0] + spread * z)
        drawn = [hypervolume(np.vstack([values, [one, mean[0, 1]]]), reference) for one in losses]
        gains[architecture] = np.mean(drawn) - have
    assert len(gains) > 50 and gains[proposal.architecture] > 0.9 * max(gains.values()) > 0
    assert proposal.by == "ehvi" and "gain of hypervolume " in proposal.why


def test_gains_are_told_in_numbers_people_read():
    """Of the first front everything is many times as much: that is cut, so that the rest of the line can be read."""
    strategy = measured(15, strategy="ehvi").strategy
    assert [strategy._words(strategy._told(w)) for w in (412.0, 12.34, 0.3)] == [
        "gain of hypervolume over 100 %", "gain of hypervolume 12 %", "gain of hypervolume 0.3 %",
    ]  # fmt: skip
    shown = strategy.views()["acquisition"]
    assert shown["columns"][1] == "gain of hypervolume, %" and all(0 <= worth <= 100 for _, worth in shown["rows"])


def test_exact_costs_are_not_modelled_and_references_are_as_given():
    c = measured(12, strategy={"name": "ehvi", "reference": {"accuracy": 0.4}})
    c.strategy.propose(13, np.random.default_rng(0))
    assert set(c.strategy._models) == {0}
    params = [c.context.costs(a)["n_params"] for a in c.strategy._typical]
    assert c.strategy.reference_point().tolist() == [-0.4, np.quantile(params, 0.7)]


def test_what_is_under_way_is_believed():
    """With the best candidate under way, what it would add is added: another one is taken."""
    c = measured(15, strategy="ehvi")
    first = c.strategy.propose(16, np.random.default_rng(0)).architecture
    entry = c.history.add(Proposal(first), c.context.costs)
    c.context.register(entry.number, c.context.identity(first))
    second = c.strategy.propose(17, np.random.default_rng(0)).architecture
    assert c.strategy._believed == (entry.number,)
    assert c.context.identity(second) != c.context.identity(first)


def test_writings_of_a_class_come_one_after_the_other():
    """Where rows count as written: the cheapest writing first, a class is gone with its last one."""
    c = conductor_of(config(strategy="ehvi", space=SMALL, objectives=TWO, duplicates="written"))
    candidates, space = Writings(c.strategy), c.context.space
    place = max(range(len(candidates.all)), key=lambda i: len(candidates.all[i]))
    key, n = space.canonical_key(candidates.all[place][0]), len(candidates.all[place])
    assert n > 3 and sum(map(len, candidates.all)) == space.size()
    seen = []
    for _ in range(n):
        (architecture,) = [a for a in candidates.fresh() if space.canonical_key(a) == key]
        seen.append(architecture)
        entry = c.history.add(Proposal(architecture), c.context.costs)
        c.context.register(entry.number, c.context.identity(architecture))
    assert not [a for a in candidates.fresh() if space.canonical_key(a) == key]
    assert len(set(seen)) == n == candidates.tried[place]
    macs = [space.costs(a).n_macs for a in seen]
    assert macs == sorted(macs)


def test_several_asked_at_once_are_different_writings():
    strategy = written(20).out.conductor.strategy
    asked = [strategy.context.identity(p.architecture) for p in strategy.ask(8)]
    assert len(set(asked)) == 8


def test_a_further_writing_is_worth_less_each_time():
    """The processes stand on one mean for all writings, and what repeats is divided by how often it was measured."""
    driver = written(1)
    strategy = driver.out.conductor.strategy
    place = max(range(len(strategy._writings.all)), key=lambda i: len(strategy._writings.all[i]))
    for architecture in strategy._writings.all[place][:3]:
        driver.tell(Edit("propose", {"choices": architecture.choices}))
    while len(strategy.context.history.told) < 18:
        driver.finish_one()
    strategy.propose(strategy.asked + 1, np.random.default_rng(0))
    known, losses, counts = strategy._known()
    at = known.index(strategy._writings.all[place][0])
    same = [
        i
        for i, n in enumerate(strategy.fitted)
        if strategy._writings.place(strategy.context.history[n].architecture) == place
    ]
    assert counts[at] == len(same) >= 3 and counts.sum() == len(strategy.fitted)
    np.testing.assert_allclose(losses[at], strategy.losses[same].mean(axis=0))
    candidates = strategy._candidates(np.random.default_rng(0))
    mean, sd = strategy.predicted(candidates)
    found = strategy._worth(mean, sd, np.random.default_rng(0))
    tried = strategy._writings.tried[strategy._writings.places]
    assert tried.max() >= 3
    strategy._writings.tried[:] = 0
    np.testing.assert_allclose(strategy._worth(mean, sd, np.random.default_rng(0)) / (1 + tried), found)


def test_the_front_is_fuller_than_by_chance():
    """On the synthetic table over a space without dead decisions, two seeds together."""

    def values(strategy, seed):
        settings = config(
            strategy=strategy, space={"name": "layers"}, objectives=TWO, budget={"trials": 36}, parallelism=2, seed=seed
        )
        driver = Driver(settings)
        driver.tell(Edit("start"))
        history = driver.all().conductor.history
        return np.array([e.values[common_level(history)] for e in history])

    chance = [values("random", seed) for seed in range(2)]
    reference = np.quantile(np.vstack(chance), 0.7, axis=0)
    ours = [values({"name": "ehvi", "candidates": 40}, seed) for seed in range(2)]
    assert sum(hypervolume(v, reference) for v in ours) > 1.05 * sum(hypervolume(v, reference) for v in chance)


def test_parego_weighs_anew_each_time():
    driver = Driver(
        config(
            strategy={"name": "parego", "initial": 8, "steps": 3}, space=SMALL, objectives=TWO, budget={"trials": 20}
        )
    )
    driver.tell(Edit("start"))
    whys = [a.proposal.why for a in driver.all().of(Start) if a.proposal.by == "parego"]
    assert len(whys) >= 9 and all(" for weights " in why for why in whys)
    assert len({why.partition(" for ")[2] for why in whys}) > 3
