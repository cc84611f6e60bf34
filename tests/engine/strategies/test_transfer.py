"""Learning from earlier searches: who is related, what is repeated, whose word counts, what a surrogate starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.architecture import Architecture
from engine.conductor import Conductor
from engine.data.spec import DataSpec
from engine.experience import Experience, Tried
from engine.predictors._meta import WIDTHS, _posterior
from engine.predictors._ranked import ranking_weights
from engine.predictors._tasks import synthetic_tasks
from engine.strategies._related import Source, data_alike, in_turn, nearest, sources_of
from tests.engine.driving import conductor_of, config, data_of


def truth(architecture):
    """A loss that follows from the network: few poolings, many convolutions."""
    options = list(architecture.choices.values())
    return 0.1 * options.count("avg_pool_3x3") - 0.05 * options.count("nor_conv_3x3") + 0.02 * options.count("none")


def experience(settings, n=60, *, shuffled=False, space="nasbench201"):
    """A finished search of random networks."""
    conductor = conductor_of(settings)
    rng = np.random.default_rng(5)
    known = [conductor.context.space.sample(rng) for _ in range(n)]
    losses = np.array([truth(a) for a in known])
    if shuffled:
        losses = rng.permutation(losses)
    data = conductor.context.space.data
    return Experience(
        name="Before", space=space, options={}, objectives=settings.objectives, source="table", fidelity=27,
        data={
            "kind": data.kind, "input_shape": list(data.input_shape), "n_classes": 100, "sizes": dict(data.sizes),
        },
        trials=tuple(Tried(a.choices, (float(v),), {}) for a, v in zip(known, losses, strict=True)),
    )  # fmt: skip


def with_experience(strategy, *given, **changes):
    settings = config(strategy=strategy, **changes)
    return Conductor.from_config(settings, data_of(settings), given)


def test_a_related_search_opens_with_its_best():
    given = experience(config())
    conductor = with_experience("transfer", given)
    proposals = conductor.strategy.ask(5)
    best = sorted(truth(Architecture.of("nasbench201", t.choices)) for t in given.trials)
    assert max(truth(p.architecture) for p in proposals) <= best[15]
    assert all(p.by == "transfer" and "'Before'" in p.why for p in proposals)


@pytest.mark.parametrize("strategy", ["transfer", "meta_surrogate"])
def test_what_does_not_follow_from_its_networks_or_belongs_elsewhere_is_not_listened_to(strategy):
    """Shuffled results, and another space: the same proposals as without experience."""
    for given in (experience(config(), shuffled=True), experience(config(), space="layers")):
        conductor = with_experience(strategy, given)
        assert conductor.strategy.sources == ()
        assert conductor.strategy.ask(4) == with_experience(strategy).strategy.ask(4)


def test_auto_says_what_earlier_searches_do_to_it_and_how_many_are_used():
    alone, related, noise = with_experience("auto"), experience(config()), experience(config(), shuffled=True)
    plan = alone.strategy.plan
    assert plan(alone.config, earlier=0) == alone.strategy.sentence(alone.strategy.options, alone.config.budget)
    assert plan(alone.config, earlier=1).startswith("the 5 best networks of related searches, then ")
    two = config(strategy="auto", objectives=[{"metric": "accuracy"}, {"metric": "loss", "direction": "minimize"}])
    first = min(10, max(2, two.budget.trials // 3))  # not the six of one objective
    assert plan(two, earlier=1) == plan(two, earlier=0)
    assert plan(two, earlier=0).startswith(f"{first} networks to start with") and "hypervolume" in plan(two, earlier=0)
    many = config(strategy="auto", budget={"trials": 5_000, "epochs": 27})
    assert "then 995 times" in plan(many, earlier=1) and "behind 1,000 of 5,000" in plan(many, earlier=1)

    def earlier(*given):
        rows = with_experience("auto", *given).strategy.views()["choice"]["rows"]
        return next(value for what, value in rows if what == "earlier searches")

    assert earlier() == "none"
    assert earlier(related) == "1 of 1"
    assert earlier(related, noise).startswith("1 of 2; the rest is unrelated")


def test_how_alike_data_are():
    ours = data_of(config())
    theirs = {
        "kind": ours.kind,
        "input_shape": list(ours.input_shape),
        "n_classes": ours.n_classes,
        "sizes": ours.sizes,
    }
    assert data_alike(theirs, ours) == pytest.approx(1.0)
    hundred = data_alike({**theirs, "n_classes": 10 * ours.n_classes}, ours)
    assert hundred == pytest.approx(np.exp(-0.5))  # one decade of classes
    assert data_alike({**theirs, "kind": "text"}, ours) == 0.0
    same = DataSpec.model_validate({**ours.model_dump(), "digest": "1" * 64})
    assert data_alike({"digest": "1" * 64}, same) == 1.0


def test_turns_go_by_relatedness():
    """d'Hondt by hand: 0.6 and 0.3 share six seats as four and two."""
    process = None
    two = [Source("a", 0.6, (), np.zeros(0), process), Source("b", 0.3, (), np.zeros(0), process)]
    assert in_turn(two, 6) == [0, 0, 1, 0, 0, 1]
    assert in_turn([], 3) == []


def test_a_trial_of_other_options_moves_to_the_nearest():
    space = conductor_of(config(space={"name": "nasbench201", "cells": 1})).context.space
    choices = dict(space.sample(np.random.default_rng(0)).choices)
    assert nearest(space, choices)[1] == 1.0
    first = next(iter(choices))
    moved, share = nearest(space, {**choices, first: "of another space"})
    assert share == pytest.approx(5 / 6) and space.validate(moved.choices) == moved
    assert nearest(space, dict.fromkeys(choices, "of another space")) is None


def test_ranking_weights_by_hand():
    """Draws won are shared by ties; a source that is clearly worse than our own gets nothing."""
    losses = np.array([[1.0, 2, 2, 9], [2, 2, 3, 1], [3, 3, 3, 3]])
    assert ranking_weights(losses) == pytest.approx([(1 + 0.5 + 1) / 4, (0.5 + 1) / 4, 0])
    assert ranking_weights(np.array([[8.0, 9, 8], [1, 2, 3]])) == pytest.approx([0, 1])


def test_the_weight_goes_where_the_order_is_right():
    """Results here that agree keep the earlier search's word, opposite ones take it away."""
    given = experience(config())
    conductor = with_experience("transfer", given)
    rng = np.random.default_rng(9)
    known = [conductor.context.space.sample(rng) for _ in range(25)]
    losses = np.array([truth(a) for a in known])
    agreeing, opposed = conductor.strategy.process(0), conductor.strategy.process(0)
    agreeing.condition(known, losses)
    opposed.condition(known, -losses)
    assert agreeing.weights[0] > 0.4
    assert opposed.weights[0] < 0.1
    assert agreeing.weights.sum() == pytest.approx(1)


def test_relatedness_is_a_share_of_what_data_and_results_allow():
    settings = config()
    conductor = with_experience("transfer", experience(settings), replace(experience(settings), data={"kind": "text"}))
    (source,) = sources_of(conductor.context)
    assert 0.3 < source.related < 0.95


# -- meta-learned surrogate -----------------------------------------------------------------------------
def test_the_last_layer_is_a_posterior_in_closed_form():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(40, 5)), rng.normal(size=5)
    y = x @ w + 0.1 * rng.normal(size=40)
    prior = w + 0.1
    mean, covariance = _posterior(x, y, prior)
    expected = []
    for v in (0.01, 0.1, 1.0):
        for noise in (0.03, 0.1, 0.3, 0.6):
            c = np.linalg.inv(x.T @ x / noise + np.eye(5) / v)
            expected.append(np.allclose(c, covariance) and np.allclose(prior + c @ x.T @ (y - x @ prior) / noise, mean))
    assert sum(expected) == 1
    assert np.abs(mean - w).max() < 0.1


def test_what_was_learned_over_searches_helps_with_few_trials():
    """Ten trials of made-up searches that were not learned from: a smaller error after the same few steps."""
    import torch

    from engine.predictors.nets.meta import adapted, meta_trained, predicted

    tasks = synthetic_tasks(conductor_of(config()).context.space, 24)
    errors = []
    for outer in (1, 40):
        theta, alpha = meta_trained(
            tasks[:20], WIDTHS, members=2, outer=outer, inner=3, lr=0.01, rng=np.random.default_rng(0)
        )
        here = []
        for task in tasks[20:]:
            x, y = torch.from_numpy(task.rows).float(), torch.from_numpy(task.losses).float()
            after = adapted(theta, alpha, x[:10], y[:10], 3)
            here.append(float((predicted(after, x[10:]) - y[10:]).square().mean()))
        errors.append(np.mean(here))
    assert errors[1] < errors[0]


def test_made_up_searches_differ_and_are_standardized():
    space = conductor_of(config()).context.space
    tasks = synthetic_tasks(space, 24)
    assert len(tasks) == 24 and len({t.digest for t in tasks}) == 24
    assert all(abs(t.losses.mean()) < 1e-9 and abs(t.losses.std() - 1) < 1e-9 for t in tasks)
    sizes = [np.corrcoef(t.rows[:, 4], t.losses)[0, 1] for t in tasks]
    assert min(sizes) < -0.3 and max(sizes) > 0.3  # larger is better in some of them, worse in others
