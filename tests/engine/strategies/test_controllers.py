"""What makes the recurrent controllers what they are: probabilities, clipped steps, advantages, late batches."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.base import Report
from engine.strategies._controllers.neural import learning_rate
from engine.strategies._controllers.sequences import Grammar
from engine.strategies.actor_critic import advantages
from engine.strategies.base import Proposal
from engine.strategies.ppo import batch_of
from tests.engine.driving import conductor_of, config

torch = pytest.importorskip("torch")
TINY = {"name": "nasbench201", "cells": 1, "operations": ["none", "nor_conv_3x3"]}


def learner_of(space, seed=0, **changes):
    """A controller for a space, with weights large enough to have opinions."""
    from engine.strategies._controllers.net import Learner

    grammar = Grammar(conductor_of(config(space=space)).context.space)
    learner = Learner(
        grammar, **{"hidden": 8, "squash": 2.5, "lr": 0.01, "rng": np.random.default_rng(seed), **changes}
    )
    with torch.no_grad():
        for p in learner.net.parameters():
            p.mul_(8)
    return learner


def test_probabilities_of_all_architectures_sum_to_one():
    """By enumeration; each is the product of what the steps had when it is written."""
    learner = learner_of(TINY)
    grammar = learner.grammar
    everything = list(grammar.space.enumerate())
    log_p = learner.scores([grammar.read(a) for a in everything]).log_p.sum(1)
    assert float(log_p.detach().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float((log_p.max() - log_p.min()).detach()) > 1, "a policy without opinions tests nothing"


@pytest.mark.parametrize("space", [TINY, {"name": "layers"}])
def test_what_is_written_is_scored_alike(space):
    """Step by step, and all steps of several sequences of different lengths at once."""
    learner = learner_of(space)
    drafts = learner.drafts(np.random.default_rng(0), 6, 1.0)
    scores = learner.scores([d.steps for d in drafts])
    for row, draft in enumerate(drafts):
        wrote = [np.log(p[s.chosen]) for s, p in zip(draft.steps, draft.probabilities, strict=True)]
        assert scores.log_p[row, : len(wrote)].tolist() == pytest.approx(wrote, abs=1e-4)
        assert float(scores.log_p[row, len(wrote) :].detach().abs().sum()) == 0
        entropies = [-(p * np.log(p)).sum() for p in draft.probabilities]
        assert scores.entropy[row, : len(wrote)].tolist() == pytest.approx(entropies, abs=1e-4)
        assert learner.grammar.space.validate(draft.architecture.choices) == draft.architecture


def test_frequencies_are_the_probabilities():
    """Two thousand drafts over sixty-four architectures."""
    learner = learner_of(TINY)
    everything = list(learner.grammar.space.enumerate())
    p = learner.scores([learner.grammar.read(a) for a in everything]).log_p.sum(1).exp().detach().numpy()
    index = {a: i for i, a in enumerate(everything)}
    counts = np.zeros(len(everything))
    for draft in learner.drafts(np.random.default_rng(1), 2000, 1.0):
        counts[index[draft.architecture]] += 1
    spread = np.sqrt(2000 * p * (1 - p)) + 1
    assert (np.abs(counts - 2000 * p) < 4.5 * spread).all()


def test_no_option_is_ruled_out():
    """The squash bounds the odds of two options by e to twice the bound."""
    learner = learner_of(TINY, squash=1.0)
    with torch.no_grad():
        learner.net.head.bias.mul_(1000)
    (draft,) = learner.drafts(np.random.default_rng(0), 1, 1.0)
    assert all(p.min() >= 1 / (1 + np.exp(2)) - 1e-6 for p in draft.probabilities)


def test_weights_do_not_touch_or_follow_the_global_generator():
    """Two searches in one process: same seed, same weights, and torch's own sequence goes on undisturbed."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    a = learner_of(TINY).arrays()
    assert (torch.rand(3) == expected).all()
    torch.manual_seed(2)
    assert (a["weights"] == learner_of(TINY).arrays()["weights"]).all()
    assert (a["weights"] != learner_of(TINY, seed=1).arrays()["weights"]).any()


def test_a_learner_goes_on_from_its_arrays_bit_for_bit():
    """Weights and moments: the next steps are the same."""
    learner, again = learner_of(TINY), learner_of(TINY, seed=5)
    sequences = [learner.grammar.read(a) for a in list(learner.grammar.space.enumerate())[:5]]
    for _ in range(3):
        learner.descend(-learner.scores(sequences).log_p.sum())
    again.load(learner.arrays())
    for each in (learner, again):
        each.descend(-each.scores(sequences).log_p.sum())
    one, two = learner.arrays(), again.arrays()
    assert one.keys() == two.keys() and all((one[k] == two[k]).all() for k in one)


def test_the_clip_on_a_case_made_by_hand():
    """Ratios 1.5, 0.5 and 1.1 at clip 0.2, both signs of the advantage; a clipped term has no gradient."""
    from engine.strategies._controllers.net import clipped_surrogate

    log_p = torch.log(torch.tensor([0.6, 0.2, 0.44])).requires_grad_()
    old = torch.log(torch.tensor([0.4, 0.4, 0.4]))
    for advantage, values, slopes in (
        (2.0, [2.4, 1.0, 2.2], [0, 1.0, 2.2]),
        (-2.0, [-3.0, -1.6, -2.2], [-3.0, 0, -2.2]),
    ):
        out = clipped_surrogate(log_p, old, torch.tensor(advantage), 0.2)
        assert out.tolist() == pytest.approx(values)
        (slope,) = torch.autograd.grad(out.sum(), log_p)
        assert slope.tolist() == pytest.approx(slopes)


def test_advantages_by_hand():
    """V = 0.1, 0.4, 0.2 and R = 1: one-step differences, all of the rest, and between."""
    values = np.array([0.1, 0.4, 0.2])
    assert advantages(values, 1.0, 0.0) == pytest.approx([0.3, -0.2, 0.8])
    assert advantages(values, 1.0, 1.0) == pytest.approx([0.9, 0.6, 0.8])
    assert advantages(values, 1.0, 0.5) == pytest.approx([0.3 + 0.5 * (-0.2 + 0.5 * 0.8), -0.2 + 0.5 * 0.8, 0.8])


def test_rates_and_batches_scale_with_the_budget():
    assert learning_rate(0.5, 100, 1) == 0.5
    assert learning_rate(None, 20_000, 1) == 0.00035 and learning_rate(None, 20, 1) == 0.01
    assert learning_rate(None, 1000, 1) == pytest.approx(0.002)
    options = config(strategy="ppo").options("strategy")
    assert [batch_of(options, n) for n in (10, 200, 20_000)] == [4, 10, 20]


def told(strategy, c, choices, accuracy):
    """Tells a strategy one trial that somebody else made."""
    entry = c.history.add(Proposal(c.context.space.validate(choices), by="you"), c.context.costs)
    report = Report({"accuracy": accuracy}, 27, "table")
    c.history.record(entry.number, 27, report)
    strategy.tell(entry, report)


def test_a_batch_waits_until_it_is_complete_and_survives_a_snapshot():
    """Four of five results change nothing; the fifth changes the weights, also in a restored strategy."""
    settings = config(strategy={"name": "ppo", "hidden": 8, "batch": 5}, space=TINY)
    c, d = conductor_of(settings), conductor_of(settings)
    rng = np.random.default_rng(0)
    before = c.strategy.learner.arrays()["weights"]
    trials = [(c.context.space.sample(rng).choices, float(rng.random())) for _ in range(5)]
    for choices, accuracy in trials[:4]:
        told(c.strategy, c, choices, accuracy)
    assert (c.strategy.learner.arrays()["weights"] == before).all()
    state, arrays = c.strategy.state(), {k: v.copy() for k, v in c.strategy.arrays().items()}
    for choices, accuracy in trials[:4]:
        entry = d.history.add(Proposal(d.context.space.validate(choices)), d.context.costs)
        d.history.record(entry.number, 27, Report({"accuracy": accuracy}, 27, "table"))
    d.strategy.load(state)
    d.strategy.load_arrays(arrays)
    for conductor in (c, d):
        told(conductor.strategy, conductor, *trials[4])
    after = c.strategy.learner.arrays()["weights"]
    assert (after != before).any() and (after == d.strategy.learner.arrays()["weights"]).all()


def test_a_critic_learns_what_partial_architectures_come_to():
    """Random architectures, reward for the first choice alone: the value jumps at it."""
    c = conductor_of(config(strategy={"name": "actor_critic", "hidden": 16, "lr": 0.01}, space=TINY))
    rng, space = np.random.default_rng(0), c.context.space
    for _ in range(150):
        choices = space.sample(rng).choices
        told(c.strategy, c, choices, float(next(iter(choices.values())) == "nor_conv_3x3"))
    names = [d.name for d in space.all_decisions()]
    rest = dict.fromkeys(names[1:], "none")
    pair = [c.strategy.grammar.read(space.validate({names[0]: o, **rest})) for o in ("nor_conv_3x3", "none")]
    values = c.strategy.learner.scores(pair).values.detach().numpy()  # (2, steps): before each choice
    assert values[0, 0] == values[1, 0]
    assert (values[0, 1:] > values[1, 1:] + 0.3).all()
