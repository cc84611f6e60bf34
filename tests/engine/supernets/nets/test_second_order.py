"""DARTS, second order: against plain autograd through the unrolled step, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from engine.supernets.nets.bilevel import EPSILON, holding, unrolled_gradient
from engine.supernets.nets.darts import DartsLearner
from engine.supernets.nets.scoring import by_batch, norms
from tests.engine.supernets.mixtures import AT, batch, flat, in_float64, tiny_learner, walk


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with in_float64():
        yield


def learner_of(**options: object) -> DartsLearner:
    learner = tiny_learner(order="second", **options)
    assert isinstance(learner, DartsLearner)
    walk(learner, 3)  # so that there is momentum
    assert all(t.dtype == torch.float64 for t in [*learner.bank.parameters(), *learner.alphas.values()])
    return learner


class Functional(nn.Module):
    """The mixture as a function of its weights."""

    def __init__(self, learner: DartsLearner) -> None:
        super().__init__()
        self.bank, self._learner = learner.bank, learner

    def forward(self, x: Tensor, at: object) -> Tensor:
        return self._learner.logits(x, at)  # type: ignore[arg-type]


def by_autograd(learner: DartsLearner, rate: float) -> Tensor:
    """The same gradient with nothing but autograd: w' stays in the graph, momentum and weight decay included."""
    (x, y), (held_x, held_y) = batch(100), batch(101)
    names = [n for n, p in learner.bank.named_parameters() if p.requires_grad]
    weights = [p for p in learner.bank.parameters() if p.requires_grad]
    sgd = learner.sgd
    with by_batch(norms([learner.bank])):
        grads = torch.autograd.grad(
            learner.loss(learner.logits(x, AT), y), weights, create_graph=True, allow_unused=True
        )
        ahead = {}
        for name, w, g in zip(names, weights, grads, strict=True):
            if g is None:
                ahead[f"bank.{name}"] = w
            else:
                buffer = sgd.buffers.get(w, torch.zeros_like(w))
                ahead[f"bank.{name}"] = w - rate * (sgd.momentum * buffer + g + sgd.weight_decay * w)
        held = functional_call(Functional(learner), ahead, (held_x, replace(AT, turn=1)))
        loss = learner.loss(held, held_y)
        return flat(torch.autograd.grad(loss, list(learner.alphas.values())))


def ours(learner: DartsLearner, product: str, epsilon: float = EPSILON, rate: float = AT.rate) -> Tensor:
    (x, y), (held_x, held_y) = batch(100), batch(101)
    with by_batch(norms([learner.bank])):
        grads, _ = unrolled_gradient(
            lambda: learner.loss(learner.logits(x, AT), y),
            lambda: learner.loss(learner.logits(held_x, replace(AT, turn=1)), held_y),
            [w for w in learner.bank.parameters() if w.requires_grad], list(learner.alphas.values()),
            lambda w, g: learner.sgd.ahead(w, g, rate), rate, product=product, epsilon=epsilon,  # type: ignore[arg-type]
        )  # fmt: skip
    return flat(grads)


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 3e-2), (0.0, 0.0)])
def test_exact_is_autograd_through_the_step(momentum: float, decay: float) -> None:
    learner = learner_of(momentum=momentum, weight_decay=decay)
    want = by_autograd(learner, AT.rate)
    got = ours(learner, "exact")
    assert (got - want).norm() <= 1e-8 * want.norm()
    # and what is being tested is there: the second term, momentum and decay all change the gradient
    assert (ours(learner, "exact", rate=0.0) - want).norm() > 1e-3 * want.norm()
    if momentum:
        learner.sgd.momentum, learner.sgd.weight_decay = 0.0, 0.0
        assert (ours(learner, "exact") - want).norm() > 1e-4 * want.norm()


def test_the_difference_has_the_error_of_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A central difference of a smooth function: halving epsilon quarters the error; the paper's is good to 1 %."""
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x))
    learner = learner_of(weight_decay=3e-2)
    want = by_autograd(learner, AT.rate)
    first = ours(learner, "exact", rate=0.0)
    term = (want - first).norm()

    def error(epsilon: float) -> float:
        return float((ours(learner, "finite", epsilon) - want).norm())

    assert error(EPSILON) < 0.01 * term
    coarse, half, quarter = error(1e-2), error(5e-3), error(2.5e-3)
    assert 3.0 < coarse / half < 5.0 and 3.0 < half / quarter < 5.0


def test_between_the_kinks_of_a_relu_network_the_difference_is_as_good() -> None:
    """Where the step is short enough to cross none; the paper's crosses some, which no exact product sees."""
    learner = learner_of(weight_decay=3e-2)
    want = by_autograd(learner, AT.rate)
    coarse, half = (float((ours(learner, "finite", e) - want).norm()) for e in (1e-4, 5e-5))
    assert coarse < 1e-7 * want.norm() and 3.0 < coarse / half < 5.0


def test_dropped_paths_are_the_same_in_every_pass_of_a_step() -> None:
    """Otherwise the passes at w + epsilon d and w - epsilon d would be of two networks."""
    learner = learner_of(drop_path=0.6)
    learner._kept = 0.5
    want = by_autograd(learner, AT.rate)
    assert (ours(learner, "exact") - want).norm() <= 1e-8 * want.norm()
    other = replace(AT, step=AT.step + 1)
    x = batch(0)[0]
    assert torch.equal(learner.logits(x, AT), learner.logits(x, AT))
    assert not torch.equal(learner.logits(x, AT), learner.logits(x, other))
    assert not torch.equal(learner.logits(x, AT), learner.logits(x, replace(AT, turn=1)))


@pytest.mark.parametrize("hessian", ["exact", "finite"])
def test_the_extra_passes_leave_weights_momentum_and_statistics(hessian: str) -> None:
    """Bit for bit: only the weights' own pass moves running statistics, and only their own step moves them."""
    learner = learner_of(hessian=hessian)
    before = {n: t.clone() for n, t in learner.bank.named_weights()}
    momentum = {p: b.clone() for p, b in learner.sgd.buffers.items()}
    alphas = flat(learner.alphas.values())
    learner.architecture_step(AT, batch(100), batch(101))
    assert all(torch.equal(t, before[n]) for n, t in learner.bank.named_weights())
    assert all(torch.equal(b, momentum[p]) for p, b in learner.sgd.buffers.items())
    assert all(p.grad is None for p in learner.bank.parameters())
    assert not torch.equal(flat(learner.alphas.values()), alphas)
    learner.step(AT, batch(100), batch(101))
    moved = [n for n, t in learner.bank.named_weights() if "running" in n and not torch.equal(t, before[n])]
    assert moved


def test_a_rate_of_zero_is_first_order() -> None:
    """xi = 0 (Liu et al. 2019, section 2.3)."""
    a, b = tiny_learner(order="second", hessian="exact"), tiny_learner(order="first")
    for learner in (a, b):
        learner.architecture_step(replace(AT, rate=0.0), batch(100), batch(101))
    assert torch.allclose(flat(a.alphas.values()), flat(b.alphas.values()), rtol=1e-12, atol=0)


def test_the_step_ahead_is_the_step_taken() -> None:
    """`ahead` says where `step` leads, clipping aside."""
    learner = learner_of(clip=0.0, weight_decay=1e-2)
    weights = [w for w in learner.bank.parameters() if w.requires_grad]
    x, y = batch(7)
    grads = torch.autograd.grad(learner.loss(learner.logits(x, AT), y), weights, allow_unused=True)
    ahead = learner.sgd.ahead(weights, grads, 0.3)
    learner.descend(learner.loss(learner.logits(x, AT), y), 0.3)
    assert torch.allclose(flat(ahead), flat(weights), rtol=1e-12, atol=1e-15)


def test_weights_are_given_back_when_a_loss_fails() -> None:
    leaf = torch.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="broken"), holding([leaf], [torch.zeros(2)]):
        assert leaf.tolist() == [0, 0]
        raise RuntimeError("broken")
    assert leaf.tolist() == [1, 2]


def test_second_order_leads_elsewhere_than_first() -> None:
    """A known answer: L_train = (w - a)^2 / 2, L_val = w^2 / 2, so grad = xi (w - xi (w - a))."""
    w, a = torch.tensor([2.0], requires_grad=True), torch.tensor([0.5], requires_grad=True)
    xi = 0.3
    for product in ("exact", "finite"):
        grads, loss = unrolled_gradient(
            lambda: ((w - a) ** 2 / 2).sum(), lambda: (w**2 / 2).sum(), [w], [a],
            lambda ws, gs: [p.detach() - xi * g for p, g in zip(ws, gs, strict=True) if g is not None], xi,
            product=product,  # type: ignore[arg-type]
        )  # fmt: skip
        ahead = 2.0 - xi * (2.0 - 0.5)
        assert float(grads[0]) == pytest.approx(xi * ahead)
        assert float(loss) == pytest.approx(ahead**2 / 2)
