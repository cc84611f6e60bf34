"""Progressive search: stages in order, only the best grow, each child contains its parent, and nothing is wasted."""

from __future__ import annotations

import pytest

from engine.conductor import Start
from engine.strategies.base import Wait
from tests.engine.driving import Driver, Edit, config
from tests.engine.strategies.supported import quick


def search(space, trials=30, **changes):
    """A search under way."""
    driver = Driver(config(strategy=quick("pnas"), space=space, budget={"trials": trials}, **changes))
    driver.tell(Edit("start"))
    return driver


def test_each_stage_grows_from_the_best_of_the_one_before():
    """K of each depth, in order; parents are the best K of their stage, and among what they grow into is the child."""
    driver = search({"name": "layers"}, trials=40, parallelism=1)
    recorded = driver.all()
    conductor, strategy = recorded.conductor, recorded.conductor.strategy
    space, history = conductor.context.space, conductor.history
    growing = [e for e in history if "of growing" in e.proposal.why]
    stages = [space.stage(e.architecture) for e in growing]
    assert stages == sorted(stages) and set(stages) == {1, 2, 3, 4}
    assert all(stages.count(s) == strategy.beam for s in (1, 2, 3, 4))
    for e in growing[strategy.beam :]:
        (parent,) = e.proposal.parents
        assert e.architecture in space.grow(history[parent].architecture)
    assert strategy.ended and len(history) == 40
    assert all(e.proposal.by in ("pnas", "random") for e in history)


@pytest.mark.parametrize("beam", [1, 3])
def test_only_the_beam_grows(beam):
    """With more people's results at a stage than the beam, its best grow and no others."""
    driver = Driver(
        config(strategy={**quick("pnas"), "beam": beam}, space={"name": "layers"}, budget={"trials": 30}, parallelism=1)
    )
    driver.tell(Edit("start"))
    history, space = driver.out.conductor.history, driver.out.conductor.context.space
    other = {"max": "avg", "avg": "max"}[str(history[1].architecture["pool"])]
    driver.tell(Edit("propose", {"choices": history[1].architecture.choices | {"pool": other}}))
    recorded = driver.all()
    assert "you" in {e.proposal.by for e in history}
    first = [e for e in history if space.stage(e.architecture) == 1 and e.number <= beam + 2]
    best = sorted(first, key=lambda e: e.loss())[:beam]
    grown = {e.proposal.parents[0] for e in history if "stage 2 of growing" in e.proposal.why}
    assert grown <= {e.number for e in best} and grown
    assert set(recorded.conductor.strategy.grew) >= grown


def test_between_stages_it_waits_and_says_so():
    """A stage is ranked when all of it is told, or failed."""
    driver = search({"name": "layers"}, parallelism=8)
    strategy = driver.out.conductor.strategy
    beam = strategy.beam
    assert len(driver.running) == beam < 8
    assert isinstance(strategy.ask(1), Wait)
    (reason,) = driver.out.conductor.waiting()
    assert f"stage 1 of growing: {beam} networks have no result yet" in reason["why"]
    driver.fail_one()
    for _ in range(beam - 2):
        assert not [a for a in driver.finish_one() if isinstance(a, Start)]
    started = [a for a in driver.finish_one() if isinstance(a, Start)]
    assert len(started) == beam and strategy.round == 2


def test_known_networks_written_larger_are_grown_on():
    """NAS-Bench-201 from the empty cell: one more edge often leads nowhere and is not tried, yet growth goes on."""
    recorded = search({"name": "nasbench201", "cells": 1}, trials=40, parallelism=1).all()
    space = recorded.conductor.context.space
    stages = [space.stage(e.architecture) for e in recorded.conductor.history if "of growing" in e.proposal.why]
    assert stages[0] == 1 and stages == sorted(stages) and max(stages) >= 6


def test_many_stages_and_few_trials_grow_by_several():
    """The step follows from stages and budget; the beam is a share of it."""
    from engine.strategies.pnas import FEWEST, sizes

    context = search({"name": "tree"}, trials=20).out.conductor.context
    step, beam = sizes(search({"name": "tree"}, trials=20).out.conductor.strategy.options, context)
    assert step > 1 and 2 <= beam <= FEWEST


def test_spaces_that_do_not_grow_are_refused_with_their_own_reason():
    from engine.docs import example_spaces, support

    for name in ("custom", "list"):
        assert support()["pnas"][name, 1] == example_spaces()[name].unavailable["grow"]
