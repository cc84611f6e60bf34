"""GDAS: hard samples with the soft sample's gradient, at the memory of one path."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.supernets.nets.gumbel import straight_through
from tests.engine.supernets.nets.tiny import at, batch, tiny_learner

ALPHA = torch.tensor([0.2, -0.7, 1.1, 0.4], dtype=torch.float64)


def test_draws_follow_the_softmax_at_any_temperature():
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.gumbel(size=(20_000, 4)))
    for temperature in (10.0, 0.1):
        drawn = [straight_through(ALPHA, n, temperature)[0] for n in noise]
        share = np.bincount(drawn, minlength=4) / len(drawn)
        np.testing.assert_allclose(share, torch.softmax(ALPHA, 0).numpy(), atol=4 * 0.5 / len(drawn) ** 0.5)


@pytest.mark.parametrize("temperature", [10.0, 1.0, 0.3])
def test_the_gate_is_one_and_has_the_soft_samples_derivative(temperature):
    """d h~_k / d A_j = h~_k (1[j = k] - h~_j) / tau: the log softmax only shifts all logits alike."""
    alpha = ALPHA.clone().requires_grad_()
    noise = torch.tensor([0.3, 1.9, -0.2, 0.1], dtype=torch.float64)
    k, gate = straight_through(alpha, noise, temperature)
    assert k == int((ALPHA + noise).argmax()) and gate.tolist() == [1.0]
    soft = torch.softmax((ALPHA + noise) / temperature, 0)
    closed = soft[k] * (torch.eye(4, dtype=torch.float64)[k] - soft) / temperature
    torch.testing.assert_close(torch.autograd.grad(gate.sum(), alpha)[0], closed)


def test_only_the_drawn_gate_hands_a_gradient_to_the_alphas():
    """The learner's gradient equals dL/dh_k, from gates that are leaves, times the closed form."""
    learner = tiny_learner("gdas", temperature=2.0, temperature_end=2.0)
    x, y = batch()
    gates = learner.gates(at(5, turn=1))
    loss = learner.loss(learner.forward(x, gates), y)
    ours = slopes_of(loss, learner.alphas)
    leaves = {name: torch.ones(1, requires_grad=True) for name in gates}
    twin = learner.loss(learner.forward(x, {name: (gates[name][0], leaves[name]) for name in gates}), y)
    slopes = slopes_of(twin, leaves)
    assert any(g is not None for g in ours.values())
    for name, (positions, gate) in gates.items():
        if slopes[name] is None:  # none was drawn: zeros, whatever the gate
            assert ours[name] is None
            continue
        jacobian = torch.autograd.grad(learner.gates(at(5, turn=1))[name][1].sum(), learner.alphas[name])[0]
        assert jacobian[positions[0]] > 0 and float(jacobian.sum().abs()) < 1e-6
        torch.testing.assert_close(ours[name], slopes[name] * jacobian)
        assert float(gate.detach()) == 1


def test_turns_and_steps_draw_apart_and_repeat():
    learner, again = tiny_learner("gdas"), tiny_learner("gdas")
    drawn = {
        (step, turn): tuple(positions[0] for positions, _ in learner.gates(at(step, turn=turn)).values())
        for step in range(20) for turn in (0, 1)
    }  # fmt: skip
    assert len(set(drawn.values())) > 30
    for (step, turn), positions in reversed(drawn.items()):
        assert tuple(p[0] for p, _ in again.gates(at(step, turn=turn)).values()) == positions


def test_the_temperature_is_annealed_linearly():
    learner = tiny_learner("gdas", epochs=12)
    tau = [learner.temperature(e) for e in range(12)]
    assert tau[0] == 10 and tau[-1] == pytest.approx(0.1)
    assert {round(a - b, 9) for a, b in pairwise(tau)} == {0.9}


def test_it_holds_one_path():
    """What autograd keeps for a step is that of the drawn network alone, far from that of all options."""
    x, y = batch(16)
    gdas, darts = tiny_learner("gdas"), tiny_learner("darts")
    with gdas.fixed_alphas():
        light = gdas.gates(at(2))
    gates = gdas.gates(at(2))
    chosen = {t.name: t.options[gates[t.name][0][0]] for t in gdas.mixture.tables}
    drawn = gdas.space.validate(chosen)
    assert sum(o.startswith("nor_conv") for o in chosen.values()) >= 2
    path = kept(lambda: gdas.loss(gdas.run(drawn, x), y))
    ours = kept(lambda: gdas.loss(gdas.forward(x, gates), y))
    weights = kept(lambda: gdas.loss(gdas.forward(x, light), y))
    everything = kept(lambda: darts.loss(darts.forward(x, darts.gates(at(2))), y))
    assert weights < 1.05 * path
    assert ours < 1.6 * path, "what the gates are multiplied with, in the architecture's turn"
    assert everything > 2 * ours


def slopes_of(loss: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """Gradients by name; None where a loss does not depend on it."""
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True), strict=True))


def kept(forward: Callable[[], Tensor]) -> int:
    """Bytes of the tensors that autograd saves, each storage once."""
    sizes: dict[int, int] = {}
    alive: list[Any] = []

    def pack(t: Tensor) -> Tensor:
        sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        alive.append(t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        forward()
    return sum(sizes.values())
