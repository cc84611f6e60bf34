"""Strategies that move probabilities or a normal distribution: the papers' updates on cases made by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from engine.conductor import Start
from engine.docs import example_spaces
from engine.evaluation.base import Report
from engine.strategies._distributions import Cma, Snes, make, shared_utilities, utilities
from engine.strategies._relaxed import Slots, segments_normalized
from engine.strategies.base import Proposal
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config, replayed, restored, wild

CONDITIONAL = {"name": "layers"}


def trial(conductor, architecture, accuracy, **metrics):
    """A foreign trial of this architecture, told."""
    entry = conductor.history.add(Proposal(architecture, by="you"), conductor.context.costs)
    entry.identity = conductor.context.identity(architecture)
    conductor.context.register(entry.number, entry.identity)
    report = Report({"accuracy": accuracy, **metrics}, 27, "table")
    conductor.history.record(entry.number, 27, report)
    conductor.strategy.tell(entry, report)
    return entry


# -- the vector -----------------------------------------------------------------------------------
@pytest.mark.parametrize("space", example_spaces().values(), ids=lambda s: s.name)
@pytest.mark.parametrize("scales", [True, False])
def test_slots_cover_the_vector_once(space, scales):
    """No number of two decisions, none of nobody; what is read is an architecture of the space."""
    slots = Slots(space, scales=scales)
    covered = [k for s, n in zip(slots.starts, slots.sizes, strict=True) for k in range(s, s + n)]
    assert covered == list(range(slots.n))
    for i in range(5):
        x = np.random.default_rng(i).random(slots.n)
        arch = slots.read(lambda d: int(np.argmax(slots.numbers(x, d))) if not slots.is_scale(d) else 0)  # noqa: B023
        assert space.validate(arch.choices) == arch
    assert any(slots.single) == (scales and any(d.ordered and len(d.options) > 2 for d in slots.decisions))


def test_probabilities_sum_to_one_in_each_decision():
    """Also where all are zero."""
    values = np.array([0.2, 0.6, 0.0, 0.0, 0.0, 3.0])
    out = segments_normalized(values, np.array([0, 2, 5]), np.array([2, 3, 1]))
    assert np.allclose(out, [0.25, 0.75, 1 / 3, 1 / 3, 1 / 3, 1.0])


# -- particle swarm -------------------------------------------------------------------------------
def test_a_particle_moves_as_published():
    """v <- w v + U(0, c1) (p - x) + U(0, c2) (g - x), with the same random numbers by hand."""
    c = conductor_of(config(strategy={"name": "particle_swarm", "particles": 3}))
    swarm, space = c.strategy, c.context.space
    for i, accuracy in enumerate((0.5, 0.9, 0.7)):
        trial(c, space.sample(np.random.default_rng(i)), accuracy)
    assert swarm.best == [1, 2, 3]
    swarm.v[0] = 0.01
    x, v, p, g = swarm.x[0].copy(), swarm.v[0].copy(), swarm.p[0], swarm.p[1]
    assert swarm._move(0, np.random.default_rng(5)) == 1
    rng = np.random.default_rng(5)
    v = 0.729 * v + 1.49618 * rng.random(len(x)) * (g - x) + 1.49618 * rng.random(len(x)) * (p - x)
    x = np.clip(x + v, 0, 1)
    x /= np.repeat(np.add.reduceat(x, swarm.slots.starts), swarm.slots.sizes)
    assert np.allclose(swarm.v[0], v) and np.allclose(swarm.x[0], x)


def test_a_best_position_leans_towards_its_network():
    """Options not chosen keep 0.75 of their probability, the chosen one takes the rest (Strasser et al. 2016)."""
    c = conductor_of(config(strategy={"name": "particle_swarm", "particles": 2}))
    swarm, architecture = c.strategy, c.context.space.sample(np.random.default_rng(0))
    trial(c, architecture, 0.5)
    for d in swarm.slots.decisions:
        x, p = swarm.slots.numbers(swarm.x[0], d), swarm.slots.numbers(swarm.p[0], d)
        chosen = d.options.index(architecture[d.name])
        expected = 0.75 * x
        expected[chosen] = x[chosen] + 0.25 * (1 - x[chosen])
        assert np.allclose(p, expected) and math.isclose(p.sum(), 1)


def test_networks_are_drawn_by_their_probabilities():
    """Each option as often as its number says."""
    c = conductor_of(config(strategy="particle_swarm"))
    swarm, rng = c.strategy, np.random.default_rng(1)
    drawn = [swarm._drawn(swarm.x[0], rng) for _ in range(2000)]
    for d in swarm.slots.decisions:
        share = [sum(a[d.name] == o for a in drawn) / 2000 for o in d.options]
        assert np.abs(np.array(share) - swarm.slots.numbers(swarm.x[0], d)).max() < 0.05


def test_the_swarms_best_comes_from_the_front():
    """Several objectives: a leader is not dominated by another particle's best."""
    c = conductor_of(config(strategy={"name": "particle_swarm", "particles": 4}, objectives=TWO))
    for i, (a, n) in enumerate([(0.9, 50), (0.5, 10), (0.4, 40), (0.8, 60)]):
        trial(c, c.context.space.sample(np.random.default_rng(i)), a, n_params=n)
    leaders = {c.strategy._leader(np.random.default_rng(i)) for i in range(30)}
    assert leaders == {0, 1}


def test_what_others_propose_counts_for_the_worst_particle():
    """And only when it is better than that one's best."""
    c = conductor_of(config(strategy={"name": "particle_swarm", "particles": 2}))
    space = c.context.space
    for i, accuracy in enumerate((0.5, 0.4, 0.6, 0.3)):
        trial(c, space.sample(np.random.default_rng(i)), accuracy)
    assert c.strategy.best == [1, 3]


# -- distributions --------------------------------------------------------------------------------
def test_utilities_of_snes():
    """They sum to zero, the worse half gets the same, and equal ranks share."""
    u = utilities(6)
    assert math.isclose(u.sum(), 0, abs_tol=1e-12) and np.allclose(u[3:], -1 / 6)
    raw = np.array([math.log(4) - math.log(k) for k in (1, 2, 3)])
    assert np.allclose(u[:3], raw / raw.sum() - 1 / 6)
    shared = shared_utilities(np.array([2.0, 0.0, 0.0, 1.0, 5.0, 4.0]))
    assert np.allclose(shared, [u[3], u[:2].mean(), u[:2].mean(), u[2], u[5], u[4]])


def test_the_step_of_snes():
    """mu and sigma after one generation, by hand."""
    snes = Snes(2, 0.5)
    xs = [np.array(x) for x in ([0.5, 0.0], [0.0, 1.0], [-0.5, 0.5], [0.0, -0.5])]
    snes.tell(xs, [0, 1, 2, 3])
    s, u = np.array(xs) / 0.5, utilities(4)
    assert np.allclose(snes.mean, 0.5 * (u[:, None] * s).sum(axis=0))
    rate = (3 + math.log(2)) / (5 * math.sqrt(2))
    assert np.allclose(snes.deviations, 0.5 * np.exp(rate / 2 * (u[:, None] * (s**2 - 1)).sum(axis=0)))


@pytest.mark.parametrize("update", ["cma", "separable", "natural"])
def test_distributions_find_a_minimum_and_repeat_to_the_last_bit(update):
    """A sphere off the origin; the same ranks again give the same numbers, and nobody else's generator moves."""

    def run():
        d, rng = make(update, 6, 1.0, 12), np.random.default_rng(0)
        for _ in range(120):
            xs = [d.sample(rng) for _ in range(12)]
            d.tell(xs, [float(((x - 2) ** 2).sum()) for x in xs])
        return d

    np.random.seed(1)
    one, two = run(), run()
    assert np.random.rand() == np.random.RandomState(1).rand()
    assert np.abs(one.mean - 2).max() < 0.05 and one.scale < 0.2
    assert np.array_equal(one.mean, two.mean) and np.array_equal(one.deviations, two.deviations)


def test_many_numbers_do_not_ask_for_whole_generations():
    """Samples one at a time, also more than a generation, also of an earlier one."""
    d, rng = Cma(350, 1.0, 21, separable=True), np.random.default_rng(0)
    late: list = []
    for _ in range(3):
        xs = [*late, *(d.sample(rng) for _ in range(24))]
        d.tell(xs[:21], [float((x**2).sum()) for x in xs[:21]])
        late = xs[21:24]
    assert np.isfinite(d.mean).all()


# -- evolution strategy ---------------------------------------------------------------------------
@pytest.mark.parametrize("space", [{"name": "nasbench201", "cells": 1}, CONDITIONAL], ids=lambda s: s["name"])
def test_at_first_every_option_is_equally_likely(space):
    """Of each first decision, whether it has a number per option or one in all."""
    c = conductor_of(config(strategy="evolution_strategy", space=space))
    drawn = [c.strategy.read(np.random.default_rng(i).standard_normal(c.strategy.slots.n)) for i in range(1500)]
    first = c.context.space.next({})
    share = [sum(a[first.name] == o for a in drawn) / 1500 for o in first.options]
    assert np.abs(np.array(share) - 1 / len(first.options)).max() < 0.05
    assert {d.name for d in c.strategy.slots.decisions} >= {n for a in drawn for n in a.choices}


def test_known_networks_cost_nothing_and_count():
    """A sample whose network a person measured is told at once: the generation closes without a new trial for it."""
    c = conductor_of(config(strategy={"name": "evolution_strategy", "samples": 6}, parallelism=1))
    strategy = c.strategy
    samples = [strategy.read(strategy._sample(k)) for k in range(6)]
    for k in (0, 1, 2, 4, 5):
        if not c.context.trials_of(samples[k]):
            trial(c, samples[k], 0.1 * k)
    (proposal,) = strategy.ask(1)
    assert proposal.architecture == samples[3] and len(strategy.open) == 4
    trial(c, samples[3], 0.9)
    strategy.ask(1)
    (used, ranks) = strategy.closed[0]
    assert used == [(0, k) for k in range(6)]
    losses = [c.history[c.context.trials_of(a)[0]].loss() for a in samples]
    assert ranks == [float(sorted(set(losses)).index(loss)) for loss in losses] and ranks[3] == 0


def test_samples_over_the_limits_rank_last_by_how_much():
    """They cost nothing and drive the distribution to where networks fit."""
    free = conductor_of(config()).context
    costs = [free.costs(free.space.sample(np.random.default_rng(i)))["n_macs"] for i in range(40)]
    limit = float(np.quantile(costs, 0.3))
    driver = Driver(
        config(strategy="evolution_strategy", limits={"n_macs": limit}, budget={"trials": 60}, parallelism=1)
    )
    driver.tell(Edit("start"))
    c = driver.all().conductor
    assert len(c.history) == 60 and (c.strategy.closed or c.strategy.restarts)
    a, b = (free.space.validate({d.name: d.options[i] for d in free.space.all_decisions()}) for i in (3, 4))
    sizes = {arch.key: c.context.costs(arch)["n_macs"] for arch in (a, b)}
    over = [arch for arch in (a, b) if sizes[arch.key] > limit]
    assert over
    for arch in over:
        assert c.strategy._value(arch) == (1, pytest.approx(sizes[arch.key] / limit - 1))
    values = [(0, 1), (2, 0.0), (1, 0.5), (1, 0.1)]
    assert c.strategy._ranks(values) == [0, 3, 2, 1]


def test_a_distribution_that_gives_nothing_new_starts_anew():
    """With twice the samples; a small space is still used up by it."""
    space = {"name": "nasbench201", "cells": 1, "operations": ["skip_connect", "nor_conv_1x1", "nor_conv_3x3"]}
    driver = Driver(config(strategy="evolution_strategy", space=space, budget={"trials": 150}, parallelism=1))
    driver.tell(Edit("start"))
    c = driver.all().conductor
    assert c.strategy.restarts > 0
    assert c.strategy.samples == 2 ** min(3, c.strategy.restarts) * (4 + int(3 * math.log(18)))
    assert any("restart" in a.proposal.why for a in driver.out.of(Start))


@pytest.mark.parametrize("update", ["separable", "natural"])
def test_each_update_resumes_where_it_was(update):
    """Late results, failures and restarts of the process: the same proposals to the last bit."""
    settings = config(strategy={"name": "evolution_strategy", "update": update, "samples": 5}, space=CONDITIONAL)
    recorded = wild(settings, seed=7)
    assert replayed(settings, recorded.entries) == recorded.actions
    cut = 2 * len(recorded.log) // 3
    again = restored(recorded, cut)
    mine = recorded.conductor.strategy
    for entry in recorded.entries[cut:]:
        again.observe(entry)
        again.next_actions()
    assert np.array_equal(again.strategy.distribution.mean, mine.distribution.mean) and mine.generation > 2
    assert again.views() == recorded.conductor.views()


@pytest.mark.parametrize("strategy", ["evolution_strategy", "particle_swarm"])
def test_views_are_plain_and_probabilities_are_some(strategy):
    """Before anything was told and after; each decision's sum to one."""
    driver = Driver(config(strategy=strategy, budget={"trials": 60}, space=CONDITIONAL))
    for _ in range(2):
        views = driver.out.conductor.views()
        json.dumps(views, allow_nan=False)
        assert views["probabilities"]["rows"]
        assert all(0 <= row[-1] <= 1.0001 for row in views["probabilities"]["rows"])
        if driver.out.finish is None:
            driver.tell(Edit("start"))
            driver.all()
