"""The dominant eigenvalue against full Hessians."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.supernets.nets.curvature import hessian_product, largest_eigenvalue
from engine.supernets.nets.scoring import by_batch, norms
from tests.engine.supernets.mixtures import AT, batch, in_float64, tiny_learner, tiny_space, walk


@pytest.mark.parametrize("n", [1, 2, 7, 30, 200])
def test_lanczos_on_known_spectra(n: int) -> None:
    rng = np.random.default_rng(n)
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    values = np.linspace(-3, 1, n)
    matrix = q @ np.diag(values) @ q.T
    found = largest_eigenvalue(lambda v: matrix @ v, n, np.random.default_rng(0))
    assert found == pytest.approx(values[-1], abs=5e-2 if n > 2 else 1e-8), "the largest, not the largest in size"


def test_lanczos_on_multiples_of_the_identity_and_zeros() -> None:
    rng = np.random.default_rng(0)
    assert largest_eigenvalue(lambda v: 3 * v, 5, rng) == pytest.approx(3)
    assert largest_eigenvalue(lambda v: 0 * v, 5, rng) == pytest.approx(0)


def test_it_is_the_largest_of_the_mixtures_full_hessian() -> None:
    """Every second derivative in the alphas by autograd, then all eigenvalues."""
    with in_float64():
        wires = tiny_space()
        others = {d.name: ["none"] for d in wires.all_decisions() if d.name not in ("edge0_1", "edge1_3")}
        space = wires.restrict(others)
        learner = tiny_learner(space=space)
        walk(learner, 2)
        x, y = batch(50)
        learner.held_out = lambda samples: [(x[:samples], y[:samples])]
        alphas = list(learner.alphas.values())
        sizes = [len(a) for a in alphas]

        def loss_of(flat: torch.Tensor) -> torch.Tensor:
            parts = dict(zip(learner.alphas, flat.split(sizes), strict=True))
            gates = {n: (range(len(a)), torch.softmax(a, 0)) for n, a in parts.items()}
            return learner.loss(learner.forward(x, gates), y)

        with by_batch(norms([learner.bank])):
            flat = torch.cat([a.detach() for a in alphas]).requires_grad_()
            (gradient,) = torch.autograd.grad(loss_of(flat), flat, create_graph=True)
            full = np.stack([torch.autograd.grad(g, flat, retain_graph=True)[0].numpy() for g in gradient])
            product = hessian_product(learner.loss(learner.logits(x, AT), y), alphas)
        assert np.abs(full).max() > 1e-3
        v = np.random.default_rng(0).standard_normal(len(full))
        np.testing.assert_allclose(product(v), full @ v, rtol=1e-8, atol=1e-12)
        want = np.linalg.eigvalsh(full)[-1]
        assert learner.curvature(0) == pytest.approx(want, rel=1e-2)
        assert want > 0
        with by_batch(norms([learner.bank])):
            alone = hessian_product(learner.loss(learner.logits(x, AT), y), alphas[:1])
        ones = np.ones(sizes[0])
        np.testing.assert_allclose(alone(ones), 0, atol=1e-12)  # adding the same to all changes nothing


def test_it_is_watched_where_wanted() -> None:
    learner = tiny_learner(eigenvalue=True)
    learner.held_out = lambda samples: [batch(50)]
    learner.end_epoch(0)
    assert learner.views()["eigenvalue"] >= 0
    assert "eigenvalue" not in tiny_learner().views()
