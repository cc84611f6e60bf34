"""What every strategy of the catalog promises, on every schedule."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine import catalog
from engine.conductor import Start
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config, pairs, replayed, wild

STRATEGIES = pairs("strategy")
SCHEDULES = pairs("schedule")


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_results_and_edits_alone_bring_back_every_proposal(strategy, schedule, objectives):
    """Parallelism 4, random finish order, failures, pauses, edits: a fresh conductor takes the same actions."""
    settings = config(strategy=strategy, schedule=schedule, **({"objectives": TWO} if objectives == 2 else {}))
    recorded = wild(settings, seed=hash_of(strategy, schedule, objectives))
    assert recorded.finish is not None
    assert recorded.most_running == 4
    assert len(recorded.of(Start)) >= 15
    assert replayed(settings, recorded.entries) == recorded.actions


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_snapshot_anywhere_continues_alike(strategy, schedule):
    """Restored from JSON after a random entry, the tail gets the answers it got."""
    settings = config(strategy=strategy, schedule=schedule)
    recorded = wild(settings, seed=hash_of(strategy, schedule))
    rng = np.random.default_rng(1)
    for cut in sorted({1, *rng.integers(1, len(recorded.log), size=5).tolist()}):
        again = conductor_of(settings)
        again.restore(json.loads(recorded.snapshots[cut - 1]), recorded.entries[:cut], recorded.proposals_until(cut))
        assert json.loads(json.dumps(again.state())) == json.loads(recorded.snapshots[cut - 1])
        assert again.next_actions() == []
        tail = []
        for entry in recorded.entries[cut:]:
            again.observe(entry)
            tail.append(again.next_actions())
        assert tail == recorded.actions[cut:]
        assert again.front() == recorded.conductor.front()
        assert again.views() == recorded.conductor.views()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_objectives_restore_too(strategy):
    """Fronts in rungs and populations are rebuilt from the snapshot."""
    settings = config(strategy=strategy, schedule="successive_halving", objectives=TWO)
    recorded = wild(settings, seed=5)
    cut = len(recorded.log) // 2
    again = conductor_of(settings)
    again.restore(json.loads(recorded.snapshots[cut - 1]), recorded.entries[:cut], recorded.proposals_until(cut))
    tail = []
    for entry in recorded.entries[cut:]:
        again.observe(entry)
        tail.append(again.next_actions())
    assert tail == recorded.actions[cut:]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_asking_at_once_or_one_by_one(strategy):
    """The first proposals do not depend on how many are asked for in one call."""
    settings = config(strategy=strategy)
    at_once = conductor_of(settings).strategy.ask(7)
    driver = Driver(config(strategy=strategy, parallelism=7))
    started = [a.proposal for a in driver.tell(Edit("start")) if isinstance(a, Start)]
    assert [p.architecture for p in at_once] == [p.architecture for p in started]


@pytest.mark.parametrize("space", [{"name": "nasbench201", "cells": 1}, "layers"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_proposals_are_new_valid_and_within_the_limits(strategy, space):
    """Nothing is paid twice, nothing is over the limit, and the budget is met exactly."""
    free = Driver(config(strategy=strategy, space=space)).out.conductor.context
    costs = [free.costs(free.space.sample(np.random.default_rng(i)))["n_macs"] for i in range(40)]
    limit = float(np.median(costs))
    driver = Driver(config(strategy=strategy, space=space, limits={"n_macs": limit}, budget={"trials": 40}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    context = recorded.conductor.context
    architectures = [a.proposal.architecture for a in recorded.of(Start)]
    assert len(architectures) == 40
    assert len({context.space.canonical_key(a) for a in architectures}) == 40
    assert all(context.costs(a)["n_macs"] <= limit for a in architectures)
    assert all(context.space.validate(a.choices) == a for a in architectures)
    for action in recorded.of(Start):
        assert action.proposal.why and action.proposal.by in {strategy, "random"}
        assert all(parent < action.trial for parent in action.proposal.parents)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_small_space_is_used_up_exactly(strategy):
    """64 writings, then the search ends by itself and says why."""
    space = {"name": "nasbench201", "cells": 1, "operations": ["skip_connect", "nor_conv_1x1"]}
    driver = Driver(config(strategy=strategy, space=space, duplicates="written", budget={"trials": 500}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    assert len({a.proposal.architecture for a in recorded.of(Start)}) == len(recorded.of(Start)) == 64
    assert "exhausted" in recorded.finish.reason and not recorded.finish.failed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_same_seed_same_sequence_other_seed_other_sequence(strategy):
    """The seed alone decides."""

    def first(seed):
        driver = Driver(config(strategy=strategy, seed=seed, space="layers"))
        driver.tell(Edit("start"))
        return [a.proposal.architecture for a in driver.all().of(Start)]

    assert first(3) == first(3)
    assert first(3) != first(4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_views_sentence_and_state_are_plain_and_small(strategy):
    """Tables with as many cells as columns, one sentence, JSON of a bounded size."""
    settings = config(strategy=strategy, budget={"trials": 150})
    driver = Driver(settings)
    driver.tell(Edit("start"))
    recorded = driver.all()
    views = recorded.conductor.strategy.views()
    for view in views.values():
        assert view["title"] and view["rows"]
        assert all(len(row) == len(view["columns"]) for row in view["rows"])
    json.dumps(views, allow_nan=False)
    assert len(json.dumps(recorded.conductor.strategy.state())) < 5000
    cls = catalog.get("strategy", strategy)
    sentence = cls.sentence(settings.options("strategy"), settings.budget)
    assert "150" in sentence or "140" in sentence or "113" in sentence
    assert not sentence.endswith(".")
    assert recorded.conductor.strategy.recommend(3)[0] == recorded.conductor.best().number


def hash_of(*parts: object) -> int:
    """A seed of one's own for each case, the same on every machine."""
    return sum(ord(c) * (i + 1) for i, c in enumerate("/".join(map(str, parts))))
