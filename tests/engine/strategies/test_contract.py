"""What every strategy of the catalog promises, on every schedule."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine import catalog
from engine.conductor import Start
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config, pairs, replayed, restored, wild
from tests.engine.strategies.supported import SMALL, first, home, objectives_of, quick, serves

STRATEGIES = pairs("strategy")
SCHEDULES = pairs("schedule")


def settings_of(strategy, objectives=None, **changes):
    """A search with this strategy on the space it is at home in."""
    n = objectives or first(strategy)
    more = {"objectives": TWO} if n == 2 else {}
    return config(**{"strategy": quick(strategy), "space": home(strategy, n), **more, **changes})


#: every strategy with both numbers of objectives and on every schedule, and every pair of these with some strategy
CASES = [
    pytest.param((strategy, n, schedule), id=f"{strategy}-{n}-{schedule}")
    for i, strategy in enumerate(STRATEGIES)
    for numbers in [objectives_of(strategy)]
    for j, schedule in enumerate(SCHEDULES)
    for n in [numbers[(i + j) % len(numbers)]]
]


@pytest.fixture(scope="module", params=CASES)
def recorded(request):
    """A wild search of each case, recorded once for the two tests that go over it again."""
    strategy, objectives, schedule = request.param
    return wild(settings_of(strategy, objectives, schedule=schedule), seed=hash_of(strategy, schedule, objectives))


def test_results_and_edits_alone_bring_back_every_proposal(recorded):
    """Parallelism 4, random finish order, failures, pauses, edits: a fresh conductor takes the same actions."""
    assert recorded.finish is not None
    assert recorded.most_running > 1
    assert len(recorded.of(Start)) >= 15
    assert replayed(recorded.settings, recorded.entries) == recorded.actions


def test_a_snapshot_anywhere_continues_alike(recorded):
    """Restored from JSON and arrays after a random entry, and after the first, the tail gets the answers it got.

    The first entry's snapshot is that of a strategy nothing was told to: it does not depend on the schedule, so one
    case of each strategy has its tail. The random entry is another one in each case.
    """
    settings, n = recorded.settings, len(recorded.log)
    strategy = settings.strategy.name
    rng = np.random.default_rng(hash_of(strategy, settings.schedule.name, len(settings.objectives)))
    cuts = {int(rng.integers(2, n))}
    if settings.schedule.name == SCHEDULES[0]:
        cuts.add(1)
    for cut in sorted(cuts):
        again = restored(recorded, cut)
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
def test_asking_at_once_or_one_by_one(strategy):
    """The first proposals do not depend on how many are asked for in one call."""
    at_once = conductor_of(settings_of(strategy)).strategy.ask(7)
    driver = Driver(settings_of(strategy, parallelism=7))
    started = [a.proposal for a in driver.tell(Edit("start")) if isinstance(a, Start)]
    assert [p.architecture for p in at_once] == [p.architecture for p in started]


@pytest.mark.parametrize("space", [SMALL, {"name": "layers"}])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_proposals_are_new_valid_and_within_the_limits(strategy, space):
    """Nothing is paid twice, nothing is over the limit, and the budget is met exactly."""
    if not serves(strategy, space["name"], first(strategy)):
        return
    free = Driver(settings_of(strategy, space=space)).out.conductor.context
    costs = [free.costs(free.space.sample(np.random.default_rng(i)))["n_macs"] for i in range(40)]
    limit = float(np.median(costs))
    driver = Driver(settings_of(strategy, space=space, limits={"n_macs": limit}, budget={"trials": 25}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    context = recorded.conductor.context
    architectures = [a.proposal.architecture for a in recorded.of(Start)]
    assert len(architectures) == 25
    assert len({context.space.canonical_key(a) for a in architectures}) == 25
    assert all(context.costs(a)["n_macs"] <= limit for a in architectures)
    assert all(context.space.validate(a.choices) == a for a in architectures)
    for action in recorded.of(Start):
        assert action.proposal.why and len(action.proposal.why) < 200 and action.proposal.by in STRATEGIES
        assert all(parent < action.trial for parent in action.proposal.parents)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_small_space_is_used_up_exactly(strategy):
    """All the networks there are, then the search ends by itself and says why."""
    space = {"name": "nasbench201", "cells": 1, "operations": ["skip_connect", "nor_conv_1x1"]}
    if not serves(strategy, "nasbench201", first(strategy)):
        return
    driver = Driver(settings_of(strategy, space=space, budget={"trials": 500}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    context = recorded.conductor.context
    everything = {context.space.canonical_key(a) for a in context.space.enumerate()}
    tried = [context.space.canonical_key(a.proposal.architecture) for a in recorded.of(Start)]
    assert len(tried) == len(everything) and set(tried) == everything
    assert "exhausted" in recorded.finish.reason and not recorded.finish.failed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_same_seed_same_sequence_other_seed_other_sequence(strategy):
    """The seed alone decides."""

    def sequence(seed):
        driver = Driver(settings_of(strategy, seed=seed, budget={"trials": 15}))
        driver.tell(Edit("start"))
        return [a.proposal.architecture for a in driver.all().of(Start)]

    assert sequence(3) == sequence(3)
    assert sequence(3) != sequence(4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nobody_waits_for_what_failed(strategy):
    """The first six trials fail: the search goes on and ends with its budget."""
    driver = Driver(settings_of(strategy, budget={"trials": 16}))
    driver.tell(Edit("start"))
    driver.finish_one()
    for _ in range(6):
        driver.fail_one()
    recorded = driver.all()
    assert len(recorded.of(Start)) == 16 and not recorded.finish.failed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_views_sentence_and_state_are_plain_and_small(strategy):
    """Tables with as many cells as columns, charts of columns there are, one sentence, state of a bounded size."""
    settings = settings_of(strategy, budget={"trials": 60})
    driver = Driver(settings)
    driver.tell(Edit("start"))
    recorded = driver.all()
    strategy_object = recorded.conductor.strategy
    views = strategy_object.views()
    for view in views.values():
        assert view["title"] and view["rows"] and len(view["rows"]) <= 500
        assert all(len(row) == len(view["columns"]) for row in view["rows"])
    json.dumps(views, allow_nan=False)
    assert len(json.dumps(strategy_object.state())) < 5000
    assert sum(a.nbytes for a in strategy_object.arrays().values()) < 10e6
    cls = catalog.get("strategy", strategy)
    sentence = cls.sentence(settings.options("strategy"), settings.budget)
    assert any(c.isdigit() for c in sentence) and not sentence.endswith(".")
    recommended = strategy_object.recommend(3)
    assert len(recommended) == 3 and all(recorded.conductor.history[n].values for n in recommended)


def hash_of(*parts: object) -> int:
    """A seed of one's own for each case, the same on every machine."""
    return sum(ord(c) * (i + 1) for i, c in enumerate("/".join(map(str, parts))))
