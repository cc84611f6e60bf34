"""DrNAS: samples of a Dirichlet, their pathwise gradient, the anchor, and what two stages carry over."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Dirichlet

from engine.supernets.nets.dirichlet import concentration, sample
from engine.supernets.nets.widening import Widening
from tests.engine.supernets.nets.tiny import at, batch, tiny_learner

BETA = torch.tensor([0.4, 1.0, 2.5], dtype=torch.float64)
CELLS = {"channels": 8}


def through(learner, epochs: int, begin: int = 0):
    """Some epochs of a single step."""
    for epoch in range(begin, epochs):
        learner.begin_epoch(epoch)
        learner.step(at(epoch, epoch), batch(seed=epoch), batch(seed=epoch + 50))
        learner.end_epoch(epoch)
    return learner


def test_the_concentration_is_elu_plus_one_and_stays_positive():
    alpha = torch.linspace(-5, 5, 41, dtype=torch.float64).requires_grad_()
    torch.testing.assert_close(concentration(alpha), F.elu(alpha) + 1)
    ours, theirs = (torch.autograd.grad(f(alpha).sum(), alpha)[0] for f in (concentration, lambda a: F.elu(a) + 1))
    torch.testing.assert_close(ours, theirs)
    assert float(concentration(torch.tensor([-40.0]))) > 0 == float(F.elu(torch.tensor([-40.0])) + 1)


def test_a_draw_and_its_gradient_are_torchs():
    beta = BETA.clone().requires_grad_()
    state = torch.get_rng_state()
    drawn = sample(beta, 11)
    assert torch.equal(torch.get_rng_state(), state), "torch's own generator is as it was"
    slope = torch.autograd.grad((drawn * torch.tensor([1.0, -2.0, 0.5])).sum(), beta)[0]
    twin = BETA.clone().requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        theirs = Dirichlet(twin).rsample()
    assert torch.equal(drawn, theirs)
    torch.testing.assert_close(slope, torch.autograd.grad((theirs * torch.tensor([1.0, -2.0, 0.5])).sum(), twin)[0])


def test_draws_have_the_mean_and_the_gradient_of_the_mean():
    """E[theta] = beta / sum beta; its derivative is (1[i = j] - mean_i) / sum beta."""
    n = 4000
    beta = BETA.clone().requires_grad_()
    drawn = torch.stack([sample(beta, i) for i in range(n)])
    mean = BETA / BETA.sum()
    spread = drawn.detach().std(0) / n**0.5
    assert bool(((drawn.detach().mean(0) - mean).abs() < 4 * spread).all())
    torch.testing.assert_close(drawn.sum(1), torch.ones(n, dtype=torch.float64))
    slope = torch.autograd.grad(drawn.mean(0)[2], beta)[0]
    closed = (torch.eye(3, dtype=torch.float64)[2] - mean[2]) / BETA.sum()
    torch.testing.assert_close(slope, closed, atol=0.01, rtol=0)


def test_gates_repeat_by_step_and_turn():
    learner, again = tiny_learner("drnas"), tiny_learner("drnas")
    draw = lambda one, step, turn: torch.cat([w for _, w in one.gates(at(step, turn=turn)).values()])  # noqa: E731
    wheres = [(s, t) for s in range(4) for t in (0, 1)]
    drawn = [draw(learner, *w) for w in wheres]
    assert all(not torch.equal(a, b) for a, b in pairwise(drawn))
    torch.manual_seed(99)
    assert all(torch.equal(draw(again, *w), d) for w, d in reversed(list(zip(wheres, drawn, strict=True))))


@pytest.mark.parametrize("anchor", ["l2", "kl"])
def test_the_anchor_draws_concentrations_to_one(anchor):
    """Closed forms of both distances; 0 at beta = 1 alone."""
    learner = tiny_learner("drnas", anchor=anchor)
    alpha = torch.tensor([0.5, -1.0, 0.0, 2.0, -0.2])
    with torch.no_grad():
        for table in learner.mixture.tables:
            learner.alphas[table.name].zero_()
        assert float(learner.distance()) == pytest.approx(0, abs=1e-9)
        learner.alphas["edge1_2"].copy_(alpha)
    beta = F.elu(alpha.double()) + 1
    if anchor == "l2":
        closed = ((beta - 1) ** 2).sum() / 2
    else:
        lg, dg = torch.lgamma, torch.digamma
        closed = lg(beta.sum()) - lg(beta).sum() - lg(torch.tensor(5.0).double())
        closed = closed + ((beta - 1) * (dg(beta) - dg(beta.sum()))).sum()
    assert float(learner.distance().detach()) == pytest.approx(float(closed), rel=1e-6)


def test_the_anchor_is_part_of_the_architecture_step_alone():
    """With a huge weight every step goes towards beta = 1; the loss it reports is the held-out one."""
    free, held = (tiny_learner("drnas", anchor_weight=w, alpha_rate=0.01) for w in (0.0, 100.0))
    for learner in (free, held):
        with torch.no_grad():
            for a in learner.alphas.values():
                a.copy_(torch.tensor([0.5, -0.5, 0.5, -0.5, 0.5]))
    losses = [learner.step(at(0), batch(), batch(seed=1))["held_loss"] for learner in (free, held)]
    assert float(losses[0]) == float(losses[1])
    moved = torch.stack([a.detach() for a in held.alphas.values()])
    assert bool((moved.abs() < 0.5).all())
    assert not bool((torch.stack([a.detach() for a in free.alphas.values()]).abs() < 0.5).all())


def test_the_most_probable_options_are_derived():
    learner = tiny_learner("drnas")
    with torch.no_grad():
        learner.alphas["edge0_1"].copy_(torch.tensor([0.0, -1.0, 3.0, 1.0, 0.5]))
    beta = torch.tensor([1.0, np.exp(-1), 4.0, 2.0, 1.5])
    assert list(learner.strengths()["edge0_1"].values()) == pytest.approx((beta / beta.sum()).tolist(), rel=1e-6)
    assert learner.derived()[0]["edge0_1"] == "nor_conv_1x1"


def test_two_stages_drop_options_and_widen_channels():
    """5 to 3 operations and K = 4 to 2, as published for NAS-Bench-201; what stays goes on."""
    learner = through(tiny_learner("drnas", space=CELLS, progressive=True, epochs=4, frozen=0.0, alpha_rate=0.1), 2)
    assert {s.partial for s in learner.mixture.slots} == {4} and not tiny_learner("drnas").frozen(0)
    before = {n: a.detach().clone() for n, a in learner.alphas.items()}
    moments = {n: learner.adam.state[a]["exp_avg"].clone() for n, a in learner.alphas.items()}
    old, old_sgd, tables = learner.network, learner.sgd, learner.mixture.by_name
    learner.begin_epoch(2)
    assert {s.partial for s in learner.mixture.slots} == {2}
    for table in learner.mixture.tables:
        assert len(table.options) == 3
        stay = [tables[table.name].options.index(o) for o in table.options]
        assert set(stay) == set(before[table.name].topk(3).indices.tolist())
        alpha = learner.alphas[table.name]
        assert torch.equal(alpha, before[table.name][stay])
        assert torch.equal(learner.adam.state[alpha]["exp_avg"], moments[table.name][stay])
    stem = [n.bank.block("stem_conv", n.mixture.parts[0]).weight for n in (old, learner.network)]
    assert torch.equal(*stem) and torch.equal(old_sgd.buffers[stem[0]], learner.sgd.buffers[stem[1]])
    seen = 0
    for mine, theirs in zip(learner.mixture.slots, old.mixture.slots, strict=True):
        for option in mine.alternatives:
            if "conv" not in str(option):
                continue
            a, b = mine.alternatives[option][0], theirs.alternatives[option][0]
            wide, narrow = learner.bank.block(a.id, a).conv.weight, old.bank.block(b.id, b).conv.weight
            n = len(narrow)
            assert wide.shape[:2] == (2 * n, 2 * n) and torch.equal(wide[:n, :n], narrow)
            assert torch.equal(learner.sgd.buffers[wide][:n, :n], old_sgd.buffers[narrow])
            seen += 1
    assert seen > 3
    assert through(learner, 4, 2).derived()


def test_copied_channels_agree_within_an_operation():
    widen = Widening(3, 7)
    weight, mean = torch.randn(4, 4, 3, 3), torch.randn(4)
    wide, wide_mean = widen(weight, torch.Size((8, 8, 3, 3))), widen(mean, torch.Size((8,)))
    source = widen.source(4, 8)
    assert source[:4].tolist() == [0, 1, 2, 3]
    assert torch.equal(wide, weight[source][:, source]) and torch.equal(wide_mean, mean[source])
    assert torch.equal(widen(mean, mean.shape), mean)


@pytest.mark.parametrize("epochs_done", [1, 2, 3])
def test_a_checkpoint_of_either_stage_goes_on(epochs_done):
    options = {"space": CELLS, "progressive": True, "epochs": 4, "frozen": 0.0}
    learner = through(tiny_learner("drnas", **options), epochs_done)
    again = tiny_learner("drnas", **options)
    again.restore({n: t.clone() for n, t in learner.tensors().items()}, json.loads(json.dumps(learner.about())))
    for one in (learner, again):
        through(one, 4, epochs_done)
    assert list(learner.tensors()) == list(again.tensors())
    assert all(torch.equal(t, again.tensors()[n]) for n, t in learner.tensors().items())
