"""OTMANN: the distance is the linear program's, and it sees what the paper says it should see."""

from __future__ import annotations

import numpy as np
import pytest

from engine.docs import example_spaces
from engine.errors import CannotBuild
from engine.predictors import otmann_gp
from engine.predictors._otmann import STRUCTURE, WORST, Distances, layers, mismatch, unit_of
from engine.predictors.otmann_gp import OtmannGP


def architectures(space, n, seed=0):
    """So many that can be built."""
    rng, out = np.random.default_rng(seed), []
    while len(out) < n:
        architecture = space.sample(rng)
        try:
            space.plan(architecture)
        except CannotBuild:
            continue
        out.append(architecture)
    return out


def by_linear_program(a, b, nu):
    """The paper's program on whole masses: what is matched, and what is left of either network."""
    from scipy import sparse
    from scipy.optimize import linprog

    n, m = len(a.masses), len(b.masses)
    labels = np.array([[mismatch(x, y) for y in b.labels] for x in a.labels])
    cost = np.where(labels >= WORST, 1e6, labels) + nu * np.abs(a.lengths[:, None] - b.lengths[None]).mean(-1)
    rows = sparse.kron(sparse.eye(n), np.ones((1, m)))
    columns = sparse.kron(np.ones((1, n)), sparse.eye(m))
    found = linprog(
        (cost - 2).ravel(),
        A_ub=sparse.vstack([rows, columns]),
        b_ub=np.concatenate([a.masses, b.masses]),
        method="highs",
    )
    return found.fun + a.masses.sum() + b.masses.sum()


@pytest.mark.parametrize("name", ["layers", "mlp", "transformer"])
def test_parcels_come_near_the_linear_program(name):
    """Rounded to parcels of mass, distances rank pairs as the program does."""
    space = example_spaces()[name]
    networks = [layers(space.plan(a)) for a in architectures(space, 6)]
    distances = Distances(unit_of(networks))
    parcels = [distances.parcels(network) for network in networks]
    ours, exact = [], []
    for i, one in enumerate(networks):
        found = distances.between(parcels[i], parcels)
        assert np.array_equal(found[i], np.zeros((len(STRUCTURE), 2)))
        for j in range(i):
            assert np.array_equal(found[j], distances.between(parcels[j], [parcels[i]])[0]), "it is symmetric"
            ours += (found[j, :, 0] * distances.unit).tolist()
            exact += [by_linear_program(one, networks[j], nu) for nu in STRUCTURE]
    assert np.corrcoef(ours, exact)[0, 1] > 0.95


def test_whole_parcels_are_solved_exactly():
    """Masses that are whole numbers of parcels, one layer a parcel: no rounding, no difference."""
    from dataclasses import replace

    space = example_spaces()["nasbench201"]
    networks = [layers(space.plan(a)) for a in architectures(space, 4, seed=3)]
    networks = [replace(n, masses=np.ones(len(n.masses))) for n in networks]
    networks = [replace(n, labels=n.labels[:40], masses=n.masses[:40], lengths=n.lengths[:40]) for n in networks]
    distances = Distances(1.0)
    parcels = [distances.parcels(n) for n in networks]
    for i in range(4):
        for j in range(i):
            for s, nu in enumerate(STRUCTURE):
                assert distances.between(parcels[i], [parcels[j]])[0, s, 0] == pytest.approx(
                    by_linear_program(networks[i], networks[j], nu), abs=1e-6
                )


def test_path_lengths_of_a_chain_and_of_a_cell():
    """In a chain of layers shortest, longest and random lengths are the place; with a skip they part."""
    space = example_spaces()["mlp"]
    chain = space.validate(next(a.choices for a in architectures(space, 40) if not any("skip" in k for k in a.choices)))
    found = layers(space.plan(chain))
    upward = found.lengths[:, :3]
    assert (upward[:, 0] <= upward[:, 2]).all() and (upward[:, 2] <= upward[:, 1]).all()
    assert found.labels[0][0] == "input" and found.labels[-1][0] == "output"
    assert upward[0].tolist() == [0, 0, 0] and found.lengths[-1, 6:9].tolist() == [1, 1, 1]
    cell = example_spaces()["nasbench201"]
    skips = dict.fromkeys([d.name for d in cell.all_decisions()], "skip_connect")
    first = cell.all_decisions()[0].name
    one = layers(cell.plan(cell.validate({**skips, first: "nor_conv_3x3"})))
    assert one.lengths[-1, 0] < one.lengths[-1, 2] < one.lengths[-1, 1]


def test_labels_mismatch_as_published():
    """Kernels by the root of their difference, pools by a half, activations by a quarter, else no match."""

    def conv(kernel):
        return ("conv", "conv2d", (("kernel_size0", str(kernel)),))

    assert mismatch(conv(3), conv(3)) == 0
    assert mismatch(conv(3), conv(5)) == pytest.approx(0.2)
    assert mismatch(conv(1), conv(5)) == pytest.approx(np.sqrt(8) / 10)
    assert mismatch(("pool", "max_pool2d", ()), ("pool", "avg_pool2d", ())) == 0.5
    assert mismatch(("act", "relu", ()), ("act", "gelu", ())) == 0.25
    assert mismatch(conv(3), ("pool", "max_pool2d", ())) == WORST
    assert (
        mismatch(("recurrent", "cell", (("a", "1"), ("b", "2"))), ("recurrent", "cell", (("a", "1"), ("b", "3"))))
        == 0.25
    )


def test_dead_operations_do_not_count():
    """A cell with an operation that leads nowhere is as the cell without it."""
    cell = example_spaces()["nasbench201"]
    names = [d.name for d in cell.all_decisions()]
    none = dict.fromkeys(names, "none")
    last = names[3]  # input to output
    alone = layers(cell.plan(cell.validate({**none, last: "nor_conv_3x3"})))
    dead = layers(cell.plan(cell.validate({**none, last: "nor_conv_3x3", names[0]: "nor_conv_3x3"})))
    assert alone.labels == dead.labels and np.array_equal(alone.masses, dead.masses)


def fitted(n=40, seed=0):
    """A process fitted to a smooth function of networks."""
    space = example_spaces()["nasbench201"]
    found = architectures(space, n + 40, seed)
    losses = np.array([-np.log(space.costs(a).n_macs) + 0.3 * sum("3x3" in str(o) for _, o in a.items) for a in found])
    model = OtmannGP(otmann_gp.Options(), space)
    model.fit(found[:n], losses[:n], np.random.default_rng(0))
    return model, found, losses, n


def test_it_predicts_and_knows_where_it_does_not():
    """Unseen networks are ranked; fitted ones have less spread; what is believed loses its spread, not its mean."""
    model, found, losses, n = fitted()
    mean, sd = model.predict(found[n:])
    assert np.corrcoef(mean, losses[n:])[0, 1] > 0.5
    assert model.predict(found[:n])[1].mean() < sd.mean()
    model.believe(found[n : n + 3])
    again, less = model.predict(found[n : n + 3])
    assert again == pytest.approx(mean[:3], rel=0.05, abs=0.02) and (less < sd[:3]).all()


def test_the_gradient_of_the_scales_is_right():
    """Against finite differences."""
    model, found, losses, n = fitted(20)
    distances = model.distances(found[:n], found[:n])
    y = (losses[:n] - losses[:n].mean()) / losses[:n].std()
    theta = model.theta + 0.1
    value, gradient = model._objective(theta, distances, y)
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5
        rise = model._objective(theta + step, distances, y)[0] - model._objective(theta - step, distances, y)[0]
        assert rise / 2e-5 == pytest.approx(gradient[i], rel=1e-3, abs=1e-5)
    assert np.isfinite(value)


def test_what_is_remembered_changes_nothing(monkeypatch):
    """With tables that are emptied all the time the same predictions come out."""
    model, found, _, n = fitted(15)
    monkeypatch.setattr(otmann_gp, "MOST_PAIRS", 3)
    other, _, _, _ = fitted(15)
    assert all(np.array_equal(a, b) for a, b in zip(model.predict(found[n:]), other.predict(found[n:]), strict=True))
