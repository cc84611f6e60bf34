"""ProxylessNAS: the gradient of binary gates, two paths a step, latency in the loss."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from engine import catalog
from engine.errors import DataError
from engine.supernets.latency import predicted_ms
from engine.supernets.nets.binary import gate_gradient, pair_of
from tests.engine.supernets.nets.test_gumbel import kept
from tests.engine.supernets.nets.timing import cheapest, made_up, timed_learner
from tests.engine.supernets.nets.tiny import at, batch

ALPHA = torch.tensor([0.3, -0.9, 1.2, 0.1], dtype=torch.float64)
COST = torch.tensor([1.0, 4.0, 2.5, -1.0], dtype=torch.float64)


def test_the_gradient_is_that_of_the_expected_loss():
    """Where the loss is linear in the gates, all N of them: enumerated, sum_k p_k L(g = e_k)."""
    alpha = ALPHA.clone().requires_grad_()
    p = torch.softmax(alpha, 0)
    expected = sum(p[k] * COST[k] for k in range(4))
    torch.testing.assert_close(gate_gradient(ALPHA, COST), torch.autograd.grad(expected, alpha)[0])


def shares(p: np.ndarray) -> dict[tuple[int, int], float]:
    """Probability of each unordered pair: one after the other, without putting back."""
    return {(a, b): p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b]) for a, b in combinations(range(len(p)), 2)}


def test_pairs_are_drawn_by_their_probabilities_and_the_active_one_by_those_of_the_two():
    p, rng, n = torch.softmax(ALPHA, 0).numpy(), np.random.default_rng(0), 20_000
    drawn = [pair_of(p.tolist(), rng) for _ in range(n)]
    for (a, b), share in shares(p).items():
        here = [d for d in drawn if set(d) == {a, b}]
        assert abs(len(here) / n - share) < 4 * (share * (1 - share) / n) ** 0.5
        active = p[a] / (p[a] + p[b])
        assert abs(np.mean([d[0] == a for d in here]) - active) < 4 * (active * (1 - active) / len(here)) ** 0.5
    assert pair_of([1.0], rng) == (0,)
    assert set(pair_of([1.0, 0.0], rng)) == {0, 1}


def test_two_paths_descend_on_the_expected_loss():
    """Enumerated over pairs the update is the exact gradient for two options, and never uphill for more."""
    two = gate_gradient(ALPHA[:2], COST[:2])
    p = torch.softmax(ALPHA[:2], 0)
    torch.testing.assert_close(two[0], p[0] * p[1] * (COST[0] - COST[1]))
    rng = np.random.default_rng(1)
    for _ in range(20):
        alpha, cost = (torch.from_numpy(rng.normal(size=5)) for _ in range(2))
        p = torch.softmax(alpha, 0)
        mean = torch.zeros(5, dtype=torch.float64)
        for pair, share in shares(p.numpy()).items():
            mean[list(pair)] += share * gate_gradient(alpha[list(pair)], cost[list(pair)])
        assert float(mean @ gate_gradient(alpha, cost)) > 0 and abs(float(mean.sum())) < 1e-12


def test_slopes_are_those_of_the_gates_and_of_the_latency():
    """Central differences in each gate, in float64; the latency counts in units of the reference."""
    learner = timed_learner("proxyless", latency_weight=0.5, reference_ms=10.0)
    learner.bank.double()
    x, y = batch()
    pairs = {t.name: (3, 1) if i % 2 else (2, 4) for i, t in enumerate(learner.mixture.tables)}
    slopes, _ = learner.slopes(pairs, (x.double(), y))

    def loss(table, k, by):
        gates = {n: (pair, torch.tensor([1.0, 0.0], dtype=torch.float64)) for n, pair in pairs.items()}
        gates[table][1][k] += by
        with torch.no_grad():
            return float(learner.loss(learner.forward(x.double(), gates), y))

    for table in ("edge0_1", "edge0_2", "edge2_3"):
        for k, pair in ((0, pairs[table]), (1, pairs[table])):
            near = (loss(table, k, 1e-6) - loss(table, k, -1e-6)) / 2e-6
            ms = learner.setup.latency_ms[table][str(learner.mixture.by_name[table].options[pair[k]])]
            assert float(slopes[table][k]) == pytest.approx(near + 0.5 * ms / 10, abs=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_keeps_what_the_two_have_together_and_what_the_others_have(decay):
    learner = timed_learner("proxyless", alpha_rate=0.5, alpha_decay=decay)
    for step in range(6):
        before = {n: torch.softmax(a.detach().double(), 0) for n, a in learner.alphas.items()}
        old = {n: a.detach().clone() for n, a in learner.alphas.items()}
        pairs = {n: pair_of(p.tolist(), learner.rng(step)) for n, p in before.items()}
        slopes = {n: torch.tensor([1.0, -1.0]) for n in pairs}
        learner.move(pairs, slopes)
        for name, (a, b) in pairs.items():
            after, rest = (
                torch.softmax(learner.alphas[name].detach().double(), 0),
                [i for i in range(5) if i not in (a, b)],
            )
            assert torch.equal(learner.alphas[name].detach()[rest], old[name][rest])
            torch.testing.assert_close(after[rest], before[name][rest], atol=1e-6, rtol=0)
            assert float(after[a] + after[b]) == pytest.approx(float(before[name][a] + before[name][b]), abs=1e-6)
            if not decay:
                assert after[a] < before[name][a] and after[b] > before[name][b]


def test_a_heavy_latency_leads_to_the_cheapest_operations():
    learner = timed_learner("proxyless", latency_weight=1000.0, alpha_rate=0.2)
    first = learner.views()["latency_ms"]
    for step in range(80):
        learner.architecture_step(at(step), batch(), batch(seed=step))
    assert learner.derived()[0].choices == cheapest(learner)
    assert predicted_ms(learner.setup.latency_ms, cheapest(learner)) <= learner.views()["latency_ms"] < first


def test_the_reference_is_the_latency_of_all_options_alike():
    learner = timed_learner("proxyless")
    table = made_up(learner.space)
    alike = 2.0 + sum(np.mean(list(row.values())) for name, row in table.items() if name)
    assert learner.reference_ms() == pytest.approx(alike, rel=1e-6)
    assert timed_learner("proxyless", reference_ms=7).reference_ms() == 7


def test_weights_wait_for_nothing_and_odds_for_the_warm_up():
    assert [timed_learner("proxyless", epochs=18, warm_up=None).frozen(e) for e in (0, 1, 2)] == [True, True, False]
    learner = timed_learner("proxyless", warm_up=1)
    old = {n: a.detach().clone() for n, a in learner.alphas.items()}
    out = learner.step(at(0, epoch=0), batch(), batch())
    assert set(out) == {"loss"} and all(torch.equal(a, old[n]) for n, a in learner.alphas.items())
    out = learner.step(at(1, epoch=1), batch(), batch())
    assert set(out) == {"loss", "held_loss"} and any(not torch.equal(a, old[n]) for n, a in learner.alphas.items())


def test_it_holds_one_path_for_the_weights_and_two_for_the_odds():
    x, y = batch(16)
    learner, everything = timed_learner("proxyless"), timed_learner("fbnet")
    convolutions = {n: ((3,), None) for n in learner.alphas}
    one = kept(lambda: learner.loss(learner.forward(x, convolutions), y))
    assert kept(lambda: learner.loss(learner.forward(x, learner.gates(at(1))), y)) <= one
    two = kept(lambda: learner.slopes(dict.fromkeys(learner.alphas, (3, 2)), (x, y))[1])
    darts = kept(lambda: everything.loss(everything.forward(x, everything.gates(at(1))), y))
    assert one < two < 2.6 * one and two < 0.8 * darts, (one, two, darts)


def test_latency_is_measured_only_where_it_counts():
    cls = catalog.get("strategy", "proxyless")
    for name in ("proxyless", "fbnet"):
        cls = catalog.get("strategy", name)
        for weight, needed in ((0.0, False), (0.3, True)):
            method = object.__new__(cls)
            method.options = cls.Options(latency_weight=weight)
            assert method.needs_latency() is needed
        timed_learner(name, measured=False, latency_weight=0).step(at(), batch(), batch())
        with pytest.raises(DataError, match="none was measured"):
            timed_learner(name, measured=False).step(at(), batch(), batch())
