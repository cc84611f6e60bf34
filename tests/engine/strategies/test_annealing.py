"""Simulated annealing: the schedule's ends, Metropolis' rule, and a chain that can be followed by hand."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from engine.conductor import Start
from engine.strategies.simulated_annealing import Options, spread, temperature
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config


def annealing(trials=60, **options):
    """A search with so many trials."""
    return config(strategy={"name": "simulated_annealing", **options}, parallelism=1, budget={"trials": trials})


@pytest.mark.parametrize("trials", [30, 3000])
def test_the_schedule_scales_with_the_budget(trials):
    """From `start` after the random networks to `end` at the last trial, and not below it when it is extended."""
    options = Options(start=2.0, end=0.02)
    assert temperature(options, options.initial, trials) == 2.0
    assert temperature(options, trials, trials) == pytest.approx(0.02)
    assert temperature(options, 2 * trials, trials) == pytest.approx(0.02)
    middle = (options.initial + trials) / 2
    assert temperature(options, middle, trials) == pytest.approx(0.2)  # the geometric mean
    linear = Options(start=2.0, end=0.02, cooling="linear")
    assert temperature(linear, middle, trials) == pytest.approx(1.01)


def test_the_spread_is_that_of_a_normal_whatever_a_few_do():
    """Quartiles: five broken networks of a hundred change little; where they do not differ, the deviation."""
    values = np.random.default_rng(0).normal(0, 3, size=(4000, 1))
    assert spread(values)[0] == pytest.approx(3, rel=0.1)
    values[:200] = 1000
    assert spread(values)[0] == pytest.approx(3, rel=0.2)
    assert spread(np.array([[1.0], [1.0], [1.0], [1.0], [6.0]]))[0] == pytest.approx(2.0)
    assert spread(np.array([[np.inf], [np.inf]])) == [0.0]


def entries_of(settings, *metrics):
    """A strategy with a scale, and trials with these metrics."""
    driver = Driver(settings)
    driver.tell(Edit("start"))
    for values in metrics:
        driver.finish_one(metrics=values)
    conductor = driver.out.conductor
    return conductor.strategy, [conductor.history[i + 1] for i in range(len(metrics))]


def test_metropolis_rule():
    """Better: always. Worse by d: exp(-d / (T s)). Without a value: never."""
    strategy, (a, b, c) = entries_of(annealing(), {"accuracy": 0.8}, {"accuracy": 0.7}, {"no accuracy": 1.0})
    strategy.scale = [0.05]
    assert strategy._chance(a, b, 0.5) == 1.0
    assert strategy._chance(b, a, 0.5) == pytest.approx(exp(-0.1 / 0.05 / 0.5))
    assert strategy._chance(c, a, 0.5) == 0.0 and strategy._chance(a, c, 0.5) == 1.0
    assert strategy._chance(b, a, 1e-9) < 1e-300


def test_several_objectives_are_weighed_by_their_spreads():
    """Two spreads worse here and four better there are better in the mean."""
    objectives = [{"metric": "accuracy"}, {"metric": "error_b", "direction": "minimize"}]
    settings = config(strategy="simulated_annealing", parallelism=1, objectives=objectives)
    strategy, (a, b) = entries_of(settings, {"accuracy": 0.8, "error_b": 10.0}, {"accuracy": 0.7, "error_b": 2.0})
    strategy.scale = [0.05, 2.0]
    assert strategy._chance(b, a, 1.0) == 1.0
    assert strategy._chance(a, b, 1.0) == pytest.approx(exp(-(4 - 2) / 2))


def test_a_cold_chain_only_climbs_and_a_hot_one_wanders():
    """Every proposal is one change to where the chain is; acceptance follows the temperature."""
    shares = {}
    for name, heat in (("cold", {"start": 1e-6, "end": 1e-6}), ("hot", {"start": 50.0, "end": 50.0})):
        driver = Driver(annealing(80, **heat))
        driver.tell(Edit("start"))
        c = driver.out.conductor
        while c.finish is None:
            for action in driver.finish_one():
                if isinstance(action, Start) and action.proposal.parents:
                    assert action.proposal.parents == (c.strategy.present,)
        steps = list(c.strategy.steps)
        shares[name] = sum(accepted for _, accepted in steps) / len(steps)
        if name == "cold":
            values = [c.history[trial].metrics()["accuracy"] for trial, accepted in steps if accepted]
            assert values == sorted(values)
    assert shares["hot"] > 0.9 > 0.5 > shares["cold"]


def test_parallel_steps_are_judged_against_where_the_chain_is_when_they_end():
    """A late and worse result does not bring a cold chain back."""
    strategy = {"name": "simulated_annealing", "initial": 1, "start": 1e-6, "end": 1e-6}
    driver = Driver(config(strategy=strategy, parallelism=3))
    driver.tell(Edit("start"))
    driver.finish_one(metrics={"accuracy": 0.5})
    assert list(driver.running) == [2, 3, 4]
    driver.finish_one(2, {"accuracy": 0.9})
    driver.finish_one(3, {"accuracy": 0.7})  # better than #1, worse than #2
    assert driver.out.conductor.strategy.present == 2


def test_the_views_show_temperature_and_acceptance():
    """Shares between 0 and 1, temperatures that fall, one point a step."""
    driver = Driver(config(strategy="simulated_annealing", objectives=TWO, budget={"trials": 40}))
    driver.tell(Edit("start"))
    driver.all()
    views = driver.out.conductor.strategy.views()
    rows = views["annealing"]["rows"]
    cooling = [value for _, what, value in rows if what == "temperature"]
    assert cooling == sorted(cooling, reverse=True) and len(cooling) == 30
    assert all(0 <= value <= 1 for _, what, value in rows if what.startswith("accepted"))
    assert len(views["chain"]["rows"]) == 30


def test_a_single_architecture_ends_the_search_by_itself():
    """Nothing can change there."""
    space = {"name": "nasbench201", "cells": 1, "operations": ["nor_conv_1x1"]}
    settings = config(strategy={"name": "simulated_annealing", "initial": 1}, space=space)
    driver = Driver(settings)
    driver.tell(Edit("start"))
    driver.finish_one()
    assert "exhausted" in driver.out.finish.reason
    assert conductor_of(settings).context.space.size() == 1
