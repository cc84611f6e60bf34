"""Strategies whose children begin with a parent's weights: which ones, that they are still there, who is a parent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import catalog
from engine.conductor import Start
from engine.evaluation import inherited
from engine.history import common_level
from engine.spaces._with_recipe import with_recipe
from tests.engine.driving import TWO, Driver, Edit, Recorded, config, pairs
from tests.engine.strategies.supported import home, quick

INHERITING = [name for name in pairs("strategy") if catalog.get("strategy", name).inherits]
LAYERS = {"name": "layers"}


def driven(settings: Any, look: Any = None) -> Recorded:
    """The whole search, in random order; `look(conductor, new starts)` after each result."""
    driver = Driver(settings)
    driver.tell(Edit("start"))
    while driver.out.finish is None:
        before = driver.out.conductor.keeps()
        new = [a for a in driver.finish_one() if isinstance(a, Start)]
        if look is not None:
            look(driver.out.conductor, before, new)
    return driver.out


@pytest.mark.parametrize("schedule", ["full", "successive_halving"])
@pytest.mark.parametrize("strategy", INHERITING)
def test_weights_to_begin_with_are_kept_until_then(strategy: str, schedule: str) -> None:
    """Whom a child begins with was among those to be kept all the time since its result, and few are kept."""
    heirs = []

    def look(conductor: Any, before: frozenset[int], new: list[Start]) -> None:
        now = conductor.keeps()
        for start in new:
            how = start.proposal.init_from
            if how is not None:
                heirs.append(start.trial)
                assert how["trial"] in before | set(conductor.history.told[-1:]) and how["trial"] in now
                assert start.proposal.depends_on == (how["trial"],) == start.proposal.parents
                assert conductor.history[how["trial"]].reports
        assert len(now) <= 64 + conductor.config.parallelism
        if conductor.finish is not None:
            assert not now

    driven(config(strategy=quick(strategy), space=home(strategy), schedule=schedule, budget={"trials": 80}), look)
    assert len(heirs) > 10


@pytest.mark.parametrize("strategy", INHERITING)
def test_without_inheritance_the_same_networks_from_their_seeds(strategy: str) -> None:
    """A table gives both the same numbers, so they propose the same; nothing is kept."""
    runs = []
    for inherit in (True, False):

        def look(conductor: Any, before: frozenset[int], new: list[Start], inherit: bool = inherit) -> None:
            assert inherit or not conductor.keeps()

        out = driven(config(strategy={"name": strategy, "inherit": inherit}, space=LAYERS, budget={"trials": 40}), look)
        starts = out.of(Start)
        assert any(s.proposal.init_from for s in starts) == inherit
        runs.append([s.proposal.architecture for s in starts])
    assert runs[0] == runs[1]


# -- large-scale evolution ---------------------------------------------------------------------------------------------
def test_the_worse_of_two_dies_and_the_best_never_does() -> None:
    settings = config(
        strategy={"name": "large_scale_evolution", "population": 10}, space=LAYERS, parallelism=1,
        budget={"trials": 120},
    )  # fmt: skip
    seen: dict[str, Any] = {"alive": [], "killed": 0}

    def look(conductor: Any, before: frozenset[int], new: list[Start]) -> None:
        history, strategy = conductor.history, conductor.strategy
        told = history.told[-1]
        came = {*seen["alive"], told}
        alive = set(strategy.population)
        assert alive <= came and len(alive) + len(new) <= 10
        for dead in came - alive:
            seen["killed"] += 1
            (start,) = new
            (parent,) = start.proposal.parents
            level = common_level([history[dead], history[parent]])
            assert history[parent].values[level] <= history[dead].values[level]
        if conductor.finish is None and len(alive) > 1:
            assert history.best().number in alive
        seen["alive"] = list(strategy.population)

    out = driven(settings, look)
    assert seen["killed"] == 120 - 10
    assert sum(bool(s.proposal.parents) for s in out.of(Start)) == 110


def test_failures_do_not_shrink_the_population() -> None:
    driver = Driver(config(strategy={"name": "large_scale_evolution", "population": 8}, budget={"trials": 60}))
    driver.tell(Edit("start"))
    for turn in range(40):
        driver.fail_one() if turn % 3 == 2 else driver.finish_one()
    strategy = driver.out.conductor.strategy
    assert len(strategy.population) + len(driver.running) >= 8


def test_others_trials_never_make_the_population_too_large() -> None:
    from engine.evaluation.base import Report
    from engine.strategies.base import Proposal
    from tests.engine.driving import conductor_of

    c = conductor_of(config(strategy={"name": "large_scale_evolution", "population": 5}))
    for i in range(30):
        entry = c.history.add(Proposal(c.context.space.sample(np.random.default_rng(i)), by="you"), c.context.costs)
        report = Report({"accuracy": i / 100}, 27, "table")
        c.history.record(entry.number, 27, report)
        c.strategy.tell(entry, report)
    assert c.strategy.population == [26, 27, 28, 29, 30]


# -- hill climbing by morphisms ----------------------------------------------------------------------------------------
def replay(space: Any, parent: Any, how: dict[str, Any]) -> Any:
    """The network that the morphisms of an `init_from` lead to."""
    at = parent
    for index, what in how["steps"]:
        morphism = space.morphisms(at)[index]
        assert morphism.what == what
        at = morphism.child
    return at


@pytest.mark.parametrize("changes", [1, 3])
def test_every_child_preserves_the_function_of_the_best_so_far(changes: int) -> None:
    settings = config(
        strategy={"name": "morphism_climb", "children": 4, "changes": changes}, space=LAYERS, parallelism=1,
        budget={"trials": 40},
    )  # fmt: skip
    out = driven(settings)
    history, space = out.conductor.history, out.conductor.context.space
    children = [e for e in history if e.proposal.parents]
    assert len(children) > 20
    several = 0
    for entry in children:
        (parent,) = entry.proposal.parents
        how = entry.proposal.init_from
        assert how["how"] == "morphism" and 1 <= len(how["steps"]) <= changes
        several += len(how["steps"]) > 1
        assert replay(space, history[parent].architecture, how) == entry.architecture
        assert inherited.words({**how, "why": ""}) == f"weights from #{parent} (function preserved)"
    assert bool(several) == (changes > 1)


def test_each_step_goes_on_from_its_best_and_a_finished_climb_begins_again() -> None:
    settings = config(strategy={"name": "morphism_climb", "children": 3, "patience": 1}, budget={"trials": 80})
    out = driven(settings)
    history, strategy = out.conductor.history, out.conductor.strategy
    assert strategy.climb > 2 and any("again (climb 2)" in e.proposal.why for e in history)
    for (climb, a), (later, b) in zip(strategy.steps, strategy.steps[1:], strict=False):
        if climb == later:
            assert history[b].loss() < history[a].loss() and history[b].proposal.parents


def test_it_keeps_to_limits_and_says_where_it_waits() -> None:
    settings = config(strategy={"name": "morphism_climb", "initial": 2}, parallelism=6, budget={"trials": 40})
    context = Driver(settings).out.conductor.context
    costs = [context.costs(context.space.sample(np.random.default_rng(i)))["n_params"] for i in range(40)]
    limit = float(np.median(costs))
    driver = Driver(settings.model_copy(update={"limits": {"n_params": limit}}))
    driver.tell(Edit("start"))
    assert len(driver.running) == 2
    (reason,) = driver.out.conductor.waiting()
    assert reason["why"] == "the best of this step becomes the next parent; 2 have no result yet"
    recorded = driver.all()
    context = recorded.conductor.context
    assert all(context.costs(s.proposal.architecture)["n_params"] <= limit for s in recorded.of(Start))


def test_it_refuses_spaces_without_morphisms_with_their_own_reason() -> None:
    from engine.docs import example_spaces

    spaces = example_spaces()
    climb = catalog.get("strategy", "morphism_climb")
    assert climb.supports(spaces["list"], config().objectives) == "a changed architecture would not stand in the list"
    recipe = {"learning_rate": [0.01, 0.1]}
    assert climb.supports(with_recipe(spaces["layers"], type(spaces["layers"].options).model_validate(
        {"recipe": recipe}).recipe), config().objectives) is None  # fmt: skip
    assert climb.supports(with_recipe(spaces["list"], None), config().objectives) is not None


def test_two_objectives_climb_along_the_front() -> None:
    out = driven(config(strategy={"name": "morphism_climb"}, space=LAYERS, objectives=TWO, budget={"trials": 40}))
    assert len(out.of(Start)) == 40
