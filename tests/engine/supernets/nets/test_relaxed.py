"""FBNet: Gumbel softmax over all options, the temperature, latency as a factor of the loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.supernets.nets.relaxed import latency_factor
from tests.engine.supernets.nets.timing import cheapest, timed_learner
from tests.engine.supernets.nets.tiny import at, batch


def test_samples_follow_the_softmax_and_harden_with_the_temperature():
    """The largest weight falls on an option as often as its probability says (Gumbel-max), at any temperature."""
    for temperature, hard in ((5.0, False), (0.05, True)):
        learner = timed_learner("fbnet", temperature=temperature)
        with torch.no_grad():
            learner.alphas["edge0_1"].copy_(torch.tensor([0.0, 1.0, -1.0, 0.5, 0.2]))
        n = 1500
        with torch.no_grad():
            m = torch.stack([learner.weights(at(step))["edge0_1"] for step in range(n)])
        torch.testing.assert_close(m.sum(1), torch.ones(n))
        p = torch.softmax(learner.alphas["edge0_1"].detach(), 0).numpy()
        share = np.bincount(m.argmax(1).numpy(), minlength=5) / n
        np.testing.assert_allclose(share, p, atol=4 * 0.5 / n**0.5)
        assert (float(m.max(1).values.mean()) > 0.95) is hard


def test_passes_draw_apart_and_repeat():
    learner, again = timed_learner("fbnet"), timed_learner("fbnet")
    first = {(s, t): learner.weights(at(s, turn=t))["edge0_2"].detach() for s in range(3) for t in (0, 1)}
    assert len({tuple(m.tolist()) for m in first.values()}) == 6
    for (step, turn), m in reversed(first.items()):
        assert torch.equal(again.weights(at(step, turn=turn))["edge0_2"].detach(), m)


def test_the_temperature_falls_as_published_and_ends_there_in_fewer_epochs():
    published, short = timed_learner("fbnet", epochs=90), timed_learner("fbnet", epochs=9)
    assert [published.temperature(e) for e in (0, 1, 45)] == pytest.approx([5.0, 5 * 0.956, 5 * 0.956**45])
    assert short.temperature(9) == pytest.approx(published.temperature(90))
    assert timed_learner("fbnet", annealing=0.5).temperature(2) == pytest.approx(1.25)


def test_the_factor_and_its_gradient_in_closed_form():
    """d/dtheta_i: alpha beta log(LAT)^(beta - 1) / LAT * m_i (F_i - sum m F) / tau, LAT in microseconds."""
    learner = timed_learner("fbnet", temperature=2.0)
    scale, power, tau = 0.3, 1.7, 2.0
    m = learner.weights(at(4))
    latency = learner.expected_ms(m)
    factor = latency_factor(latency, scale, power)
    lat = float(latency.detach())
    assert float(factor.detach()) == pytest.approx(scale * math.log(1000 * lat) ** power, rel=1e-5)
    found = torch.autograd.grad(factor, list(learner.alphas.values()))
    outer = scale * power * math.log(1000 * lat) ** (power - 1) / lat
    for name, gradient in zip(learner.alphas, found, strict=True):
        w, f = m[name].detach(), learner.option_ms[name]
        torch.testing.assert_close(gradient, outer * w * (f - (w * f).sum()) / tau, rtol=1e-4, atol=1e-6)
    assert float(latency_factor(torch.tensor(1e-9), 0.2, 0.6)) == pytest.approx(0.2)  # log 1: never below


def test_an_architecture_step_descends_on_the_product():
    """Its gradient is that of cross-entropy times factor, both of one sample: against autograd on the whole."""
    learner = timed_learner("fbnet", latency_weight=2.0)
    seen = {}
    learner.descend_alphas = lambda loss: seen.update(zip(
        learner.alphas, torch.autograd.grad(loss, list(learner.alphas.values())), strict=True))  # fmt: skip
    x, y = batch()
    learner.architecture_step(at(7), (x, y), (x, y))
    m = learner.weights(at(7, turn=1))
    loss = learner.loss(learner.forward(x, {n: (range(5), w) for n, w in m.items()}), y)
    ms = sum((m[n] * learner.option_ms[n]).sum() for n in m) + 2.0
    whole = loss * 0.2 * torch.log(1000 * ms) ** 2
    for name, g in zip(learner.alphas, torch.autograd.grad(whole, list(learner.alphas.values())), strict=True):
        torch.testing.assert_close(seen[name], g, rtol=1e-3, atol=1e-5)


def test_a_heavy_latency_leads_to_the_cheapest_operations():
    learner = timed_learner("fbnet", latency_weight=15.0, alpha_rate=0.2, alpha_decay=0.0, samples=0)
    first = learner.views()["latency_ms"]
    for step in range(80):
        learner.architecture_step(at(step), batch(), batch(seed=step))
    assert learner.derived()[0].choices == cheapest(learner)
    assert learner.views()["latency_ms"] < first


def test_the_most_probable_network_comes_first_then_drawn_ones_each_once():
    learner = timed_learner("fbnet", samples=8)
    derived = learner.derived()
    assert derived == learner.derived() and len(set(derived)) == len(derived) > 4
    assert derived[0] == learner.space.derive(learner.strengths())
    with torch.no_grad():
        for a in learner.alphas.values():
            a.copy_(torch.tensor([0.0, 0.0, 0.0, 60.0, 0.0]))
    assert learner.derived() == [learner.space.derive(learner.strengths())]


def test_the_row_of_an_epoch_has_expected_latency_and_temperature():
    learner = timed_learner("fbnet")
    learner.end_epoch(2)
    row = learner.views()
    expected = 2.0 + sum(
        p * learner.setup.latency_ms[t][str(o)] for t, r in learner.strengths().items() for o, p in r.items()
    )
    assert row["latency_ms"] == pytest.approx(expected, rel=1e-5)
    assert row["temperature"] == pytest.approx(learner.temperature(2))
    assert "latency_ms" not in timed_learner("fbnet", measured=False).views()
