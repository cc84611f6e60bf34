"""The Gaussian process as a strategy: how it begins, what it stands on in a long search, which writing it proposes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conductor import Start
from engine.strategies import gaussian_process
from engine.strategies._candidates import classes
from tests.engine.driving import Driver, Edit, conductor_of, config, restored, wild

SMALL = {"name": "nasbench201", "cells": 1, "operations": ["none", "skip_connect", "nor_conv_1x1"]}


@pytest.mark.parametrize("space", [{"name": "nasbench201"}, {"name": "layers"}])
def test_it_begins_with_large_networks_but_not_the_very_largest_only(space):
    found = set()
    for seed in range(6):
        settings = config(strategy="gaussian_process", space=space, seed=seed, budget={"trials": 30})
        strategy = conductor_of(settings).strategy
        space_ = strategy.context.space
        rng = np.random.default_rng(0)
        sizes = [space_.live_costs(space_.sample(rng))[1] for _ in range(200)]
        proposals = strategy.ask(2)
        assert all("among the largest tenth" in p.why for p in proposals)
        assert min(space_.live_costs(p.architecture)[1] for p in proposals) > np.quantile(sizes, 0.7)
        found |= {p.architecture for p in proposals}
    assert len(found) > 6


def test_in_a_long_search_what_it_stands_on_changes_with_the_tuning_only(monkeypatch):
    """At most so many trials and what came since; and a snapshot in between continues alike."""
    monkeypatch.setattr(gaussian_process, "MOST", 12)
    settings = config(
        strategy="gaussian_process", space=SMALL, budget={"trials": 45}, parallelism=3, schedule={"name": "full"}
    )
    driver = Driver(settings)
    driver.tell(Edit("start"))
    strategy, before, tuned, kept = driver.out.conductor.strategy, np.zeros(0), 0, 0
    while driver.out.finish is None:
        driver.finish_one()
        assert len(strategy.fitted) <= 12 + 45 // 10 + 1
        if len(before) > 12 and strategy.tuned == tuned:
            kept += set(before) < set(strategy.fitted)
            assert set(before) <= set(strategy.fitted)
        before, tuned = strategy.fitted.copy(), strategy.tuned
    assert kept > 5
    recorded = wild(settings, seed=3)
    for cut in (len(recorded.log) // 2, len(recorded.log) - 4):
        again = restored(recorded, cut)
        assert again.next_actions() == []
        for entry, actions in zip(recorded.entries[cut:], recorded.actions[cut:], strict=True):
            again.observe(entry)
            assert again.next_actions() == actions


def test_which_of_the_smallest_writings_stands_for_a_network_is_left_to_chance():
    """Else the order of options would decide what is measured."""
    space = conductor_of(config(strategy="gaussian_process", space=SMALL)).context.space
    listed = classes(space)
    several = [i for i, n in enumerate(listed.smallest) if n > 1]
    assert several and len(listed.index) == len(listed.writings)
    for i, some in enumerate(listed.writings):
        macs = [space.costs(a).n_macs for a in some]
        assert macs == sorted(macs) and macs[0] == macs[listed.smallest[i] - 1]
        assert {space.canonical_key(a) for a in some} == {space.canonical_key(some[0])}
    chosen = [listed.chosen(seed) for seed in range(20)]
    assert all(c[i] in listed.writings[i][: listed.smallest[i]] for c in chosen for i in several)
    assert np.mean([len({c[i] for c in chosen}) > 1 for i in several]) > 0.9
    assert chosen[3] == listed.chosen(3)


def test_proposals_say_what_is_predicted():
    driver = Driver(config(strategy="gaussian_process", space=SMALL, budget={"trials": 12}))
    driver.tell(Edit("start"))
    whys = [a.proposal.why for a in driver.all().of(Start)]
    assert sum("predicted accuracy" in why and "EI" in why for why in whys) >= 5
