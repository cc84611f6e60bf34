"""The portfolio's bandit, and the space that narrows itself: what makes them what they are."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from engine.conductor import Edit, Result, Start
from engine.encodings import Places
from engine.errors import InvalidConfig
from engine.evaluation.base import Report
from engine.strategies._worth_of_options import worth
from engine.strategies.narrowing import Inner
from tests.engine.driving import conductor_of, config, restored, wild


def searched(strategy, accuracy, trials, **changes):
    """A search in which the accuracy of a trial is what a function says of its proposal."""
    conductor = conductor_of(config(strategy=strategy, budget={"trials": trials}, parallelism=1, **changes))
    conductor.observe(Edit("start"))
    actions = conductor.next_actions()
    while starts := [a for a in actions if isinstance(a, Start)]:
        for start in starts:
            value = accuracy(start.proposal)
            conductor.observe(Result(start.trial, start.fidelity, Report({"accuracy": value}, start.fidelity, "table")))
            actions = conductor.next_actions()
    return conductor


SMALL_OPTIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


# -- portfolio ----------------------------------------------------------------------------------------
def test_who_earns_it_gets_the_budget():
    """One member's trials are always the best ones: the bandit finds out, and hears when that turns."""
    members = ["regularized_evolution", "random"]
    turn = {"n": 0}

    def accuracy(proposal):
        turn["n"] += 1
        favourite = members[0] if turn["n"] <= 60 else members[1]
        return (0.9 if proposal.by == favourite else 0.5) + 0.001 * (turn["n"] % 7)

    conductor = searched({"name": "portfolio", "members": members}, accuracy, 160)
    by = [e.proposal.by for e in conductor.history]
    assert by[20:60].count(members[0]) > 25
    assert by[120:].count(members[1]) > 25


def test_what_was_earned_is_discounted():
    """S and F after three trials by hand: gamma = 1 - 1/memory before each new one is added."""
    values = iter([0.5, 0.6, 0.4])
    conductor = searched({"name": "portfolio", "members": ["random"], "memory": 4}, lambda _: next(values), 3)
    strategy = conductor.strategy
    # 0.5 is the best of itself, 0.6 the best of both, 0.4 the worst of three
    assert strategy.earned == pytest.approx([0.75 * (0.75 + 1)])
    assert strategy.missed == pytest.approx([1.0])


def test_members_share_the_random_starts():
    """The members together draw no more random networks to start with than the one that wants most."""
    members = ["regularized_evolution", "tournament_evolution", "genetic"]
    conductor = searched({"name": "portfolio", "members": members}, lambda p: 0.5, 60)
    starts = [e for e in conductor.history if "to start with" in e.proposal.why]
    assert 0 < len(starts) <= 16


@pytest.mark.parametrize(
    ("members", "word"),
    [(["portfolio"], "portfolio"), (["nobody"], "nobody"), (["random", "random"], "once"),
     (["large_scale_evolution"], "weights"), ([], "at least")],
)  # fmt: skip
def test_members_that_cannot_be(members, word):
    with pytest.raises(InvalidConfig, match=word):
        config(strategy={"name": "portfolio", "members": members})


# -- narrowing ----------------------------------------------------------------------------------------
def test_the_linear_model_is_the_posterior_in_closed_form():
    """Against (X'X / s + D I)^-1 X'y / s by hand, and the better option of two is seen as such."""
    space = conductor_of(config()).context.space
    places = Places(space)
    rng = np.random.default_rng(0)
    known = [space.sample(rng) for _ in range(60)]
    losses = np.array([[float(sum(a[d.name] == d.options[0] for d in places.decisions))] for a in known])
    found = worth(places, known, losses)
    x = np.array([places.one_hot(a) for a in known])
    d = len(places.decisions)
    fits = []
    for noise in (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9):
        covariance = np.linalg.inv(x.T @ x / noise + d * np.eye(places.n_tokens))
        fits.append(np.allclose(covariance, found.covariance))
    assert sum(fits) == 1
    for chance in found.better():
        assert chance.max() == 1.0 and chance[0] < 0.05


def bad_option(proposal):
    """Networks with a pooling are worse, whatever else they have."""
    return 0.9 - 0.1 * list(proposal.architecture.choices.values()).count("avg_pool_3x3")


def test_what_is_clearly_worse_leaves_the_space():
    conductor = searched({"name": "narrowing", "inner": "random", "first": 20, "every": 10}, bad_option, 80)
    strategy = conductor.strategy
    pooling = SMALL_OPTIONS.index("avg_pool_3x3")
    assert sum(pooling in gone for gone in strategy.removed.values()) >= 5  # of six decisions
    assert sum(len(gone) for gone in strategy.removed.values()) <= 8  # and little by chance
    late = [e.architecture for e in conductor.history if e.number > 60]
    share = np.mean([list(a.choices.values()).count("avg_pool_3x3") / len(a.choices) for a in late])
    assert share < 0.05
    views = strategy.views()
    chances = {name: chance for name, chance, _ in views["chances"]["rows"]}
    assert len(chances) == strategy.places.n_tokens - 6 and max(chances.values()) < 1  # the best are not compared
    assert "edge 1→3: avg 3×3" in chances and views["left"]["note"].startswith("share")


def test_names_and_numbers_are_what_people_read_elsewhere():
    """Titles of decisions, methods in words, counts with all their digits."""
    space = {"name": "nasbench201", "cells": 5}
    kept = searched({"name": "narrowing", "inner": "random", "first": 6, "threshold": 1e-9}, bad_option, 12)
    left = kept.strategy.views()["left"]
    titles = {kept.context.space.title(d.name) for d in kept.context.space.all_decisions()}
    assert {row[1] for row in left["rows"]} == titles and "all options are in" in left["note"]
    shared = searched({"name": "portfolio", "members": ["local_search", "random"]}, bad_option, 12).strategy
    views = shared.views()
    assert {row[2] for row in views["shares"]["rows"]} == {"local search", "random"}
    assert all("_" not in shown["title"] for shown in views.values())
    facts = dict(conductor_of(config(strategy="auto", space=space)).strategy.views()["choice"]["rows"])
    assert facts["architectures in the space"] == "15,625" and facts["so proposals come from"] == "gaussian process"


def test_an_option_comes_back_when_the_evidence_turns():
    """What was the worst becomes the best half way: it is in the space again at the end."""
    turn = {"n": 0}

    def accuracy(proposal):
        turn["n"] += 1
        value = bad_option(proposal)
        return value if turn["n"] <= 30 else 1.4 - value - 0.3 * (turn["n"] < 35)

    conductor = searched(
        {"name": "narrowing", "inner": "random", "first": 20, "every": 10, "threshold": 0.02}, accuracy, 200
    )
    rows = np.array(conductor.strategy.history)[:, 1:].sum(axis=1)
    assert rows.min() < rows[-1] or not conductor.strategy.removed


def test_a_used_up_narrowed_space_opens_again():
    space = {"name": "nasbench201", "cells": 1, "operations": ["none", "skip_connect", "avg_pool_3x3"]}
    strategy = {"name": "narrowing", "inner": "random", "first": 8, "every": 4, "threshold": 0.45}
    conductor = searched(strategy, bad_option, 1000, space=space)
    everything = {conductor.context.space.canonical_key(a) for a in conductor.context.space.enumerate()}
    assert len(conductor.history) == len(everything)
    assert conductor.strategy.threshold < 0.45


@pytest.mark.parametrize("inner", get_args(Inner))
def test_every_inner_strategy_survives_narrow_spaces_and_restarts(inner):
    """A threshold that takes much away, on a space with conditions; restored in the middle it goes on alike."""
    strategy = {"name": "narrowing", "inner": inner, "threshold": 0.4, "first": 8, "every": 5}
    trials = 13 if inner == "gaussian_process" else 30
    recorded = wild(config(strategy=strategy, space={"name": "layers"}, budget={"trials": trials}), seed=3)
    cut = len(recorded.log) * 2 // 3
    again = restored(recorded, cut)
    assert again.next_actions() == []
    for entry, actions in zip(recorded.entries[cut:], recorded.actions[cut:], strict=True):
        again.observe(entry)
        assert again.next_actions() == actions
