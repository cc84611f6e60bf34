"""Climbs: greedy beside a twin that knows the table, full neighbourhoods, and workers that need not wait."""

from __future__ import annotations

import pytest

from engine.conductor import Start
from engine.spaces._moves import Moves
from tests.engine.driving import Driver, Edit, config

SMALL = {"name": "nasbench201", "cells": 1}


def run(strategy, **changes):
    """A finished search."""
    driver = Driver(config(strategy=strategy, **changes))
    driver.tell(Edit("start"))
    driver.all()
    return driver


def coordinate_descent(space, value, start, budget):
    """Twin: the order in which architectures are first looked at, written order of decisions, from one start."""
    order, at = [start], start
    while True:
        improved, turn = False, set()
        while (d := next((d for d in space.decisions(at) if d.name not in turn), None)) is not None:
            turn.add(d.name)
            around = [space.moved(at, d.name, o) for o in d.options if o != at[d.name]]
            order += [a for a in dict.fromkeys(around) if a not in order]
            best = max(around, key=value, default=at)
            if value(best) > value(at):
                at, improved = best, True
            if len(order) >= budget:
                return order[:budget]
        if not improved:
            return order


@pytest.mark.parametrize("space", [SMALL, {"name": "layers"}])
def test_greedy_is_coordinate_descent(space):
    """One at a time, against the twin: also where decisions come and go."""
    strategy = {"name": "greedy", "initial": 1, "order": "written"}
    driver = run(strategy, space=space, parallelism=1, duplicates="written", budget={"trials": 60})
    conductor = driver.out.conductor
    tried = [e.architecture for e in conductor.history]

    def value(arch):
        return driver.table.accuracy(arch, 27, 27)

    expected = coordinate_descent(conductor.context.space, value, tried[0], len(tried))
    assert tried[: len(expected)] == expected and len(expected) > 20


def test_what_greedy_calls_an_optimum_has_no_better_neighbour():
    """In parallel and with several sweeps and starts."""
    driver = run({"name": "greedy", "initial": 3}, parallelism=5, budget={"trials": 200})
    conductor = driver.out.conductor
    assert conductor.strategy.optima
    for number in conductor.strategy.optima:
        for neighbour in conductor.context.space.neighbours(conductor.history[number].architecture):
            known = conductor.context.trials_of(neighbour)
            assert known and all(conductor.history[n].loss() >= conductor.history[number].loss() for n in known)


@pytest.mark.parametrize("ahead", [True, False])
def test_workers_go_ahead_or_wait(ahead):
    """Six slots, four options a decision: the next decision's options fill them, or they stay free."""
    strategy = {"name": "greedy", "initial": 1, "ahead": ahead}
    driver = Driver(config(strategy=strategy, parallelism=6, duplicates="written", budget={"trials": 40}))
    driver.tell(Edit("start"))
    driver.finish_one()
    assert len(driver.running) == (6 if ahead else 4)
    if not ahead:
        (reason,) = driver.out.conductor.waiting()
        assert "options of edge" in reason["why"] and "around #1" in reason["why"]


def test_the_full_neighbourhood_is_known_before_a_move():
    """Every step goes to the best neighbour of all."""
    strategy = {"name": "local_search", "initial": 2, "move": "best"}
    driver = run(strategy, parallelism=4, budget={"trials": 150})
    conductor = driver.out.conductor
    climbs: dict[int, list[int]] = {}
    for climb, trial in conductor.strategy.steps:
        climbs.setdefault(climb, []).append(trial)
    checked = 0
    for path in climbs.values():
        for here, there in zip(path, path[1:], strict=False):
            around = conductor.context.space.neighbours(conductor.history[here].architecture)
            known = [conductor.history[n] for a in around for n in conductor.context.trials_of(a)]
            assert all(conductor.context.trials_of(a) for a in around)
            assert conductor.history[there].loss() == min(e.loss() for e in known)
            checked += 1
    assert checked > 3


def test_neighbours_are_made_one_at_a_time(monkeypatch):
    """A proposal of a wide space makes few architectures, not all hundred and more neighbours."""
    made = 0
    moved = Moves.moved

    def counted(self, *arguments):
        nonlocal made
        made += 1
        return moved(self, *arguments)

    monkeypatch.setattr(Moves, "moved", counted)
    shape = {"name": "tabular", "input_shape": [3, 16, 16]}
    driver = Driver(config(strategy="local_search", space={"name": "darts"}, evaluator=shape, budget={"trials": 40}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    assert len(recorded.of(Start)) == 40
    assert made <= 2 * 40


def test_the_views_say_what_was_tried_and_how_far_it_climbed():
    """One cell an option; each climb a line of better and better values."""
    driver = run({"name": "greedy", "initial": 2}, parallelism=1, budget={"trials": 80})
    views = driver.out.conductor.strategy.views()
    cells = [(row[0], row[1]) for row in views["options"]["rows"]]
    assert len(cells) == len(set(cells)) and len(cells) > 10
    climbs: dict[str, list[float]] = {}
    for climb, _, value, _ in views["climb"]["rows"]:
        climbs.setdefault(climb, []).append(value)
    assert any(len(values) > 2 for values in climbs.values())
    assert all(values == sorted(values) for values in climbs.values())
