"""The Gaussian process: gradients against differences, posterior against the textbook, what its kernel sees."""

from __future__ import annotations

import numpy as np
import pytest

from engine.docs import example_spaces
from engine.network.structure import STRUCTURE, Step, structure, structure_of
from engine.predictors import acquisition
from engine.predictors._described import described
from engine.predictors._kernel import JITTER, Kernel, Parts, _Likelihood
from engine.predictors._solved import Solved
from engine.predictors.gp import GaussianProcess


def drawn(space, n, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(n)]


@pytest.fixture
def cell():
    return example_spaces()["nasbench201"]


@pytest.mark.parametrize("name", ["nasbench201", "layers"])
def test_the_gradient_is_that_of_the_value(name):
    space = example_spaces()[name]
    rows = described(space).read(drawn(space, 12))
    rng = np.random.default_rng(1)
    kernel = Kernel(Parts((0, 1, 2, 3), tuple(range(len(described(space).names))), size=True))
    problem = _Likelihood(kernel, rows, rng.standard_normal(12), rng.integers(1, 4, size=12).astype(float))
    theta = kernel.prior + 0.3 * rng.standard_normal(len(kernel.prior))
    _, gradient = problem(theta)
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5
        numeric = (problem(theta + step)[0] - problem(theta - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_no_step_of_the_tuning_leaves_the_numbers(cell):
    """From a start far off, where the likelihood is steep, all that is evaluated is finite."""
    rows = described(cell).read(drawn(cell, 30))
    kernel = Kernel(Parts((0, 1, 2, 3), tuple(range(len(described(cell).names))), size=True))
    targets = np.r_[np.zeros(29), 5.0]
    with np.errstate(all="raise", under="ignore"):
        for start in (kernel.prior + 30, kernel.prior - 30, kernel.prior * 0 + 800.0):
            assert np.isfinite(kernel.tune(rows, targets, np.ones(30), start, 50)).all()


def test_the_posterior_is_the_textbooks(cell):
    """Rasmussen & Williams 2006, eqs. 2.25 and 2.26, by inverting the matrix."""
    known, new = drawn(cell, 15), drawn(cell, 9, seed=5)
    losses = np.random.default_rng(2).normal(size=15)
    gp = GaussianProcess(GaussianProcess.Options(), cell)
    gp.fit(known, losses, np.random.default_rng(0))
    a, b = described(cell).read(known), described(cell).read(new)
    k, theta = gp.kernel, gp.theta
    targets = gp._targets
    inverse = np.linalg.inv(k.between(theta, a, a) + (k.noise(theta) + JITTER) * np.eye(15))
    cross = k.between(theta, b, a)
    mean = cross @ inverse @ targets
    variance = np.diag(k.between(theta, b, b) - cross @ inverse @ cross.T)
    got_mean, got_sd = gp.predict(new)
    np.testing.assert_allclose((got_mean - gp._centre) / gp._scale, mean, atol=1e-7)
    np.testing.assert_allclose((got_sd / gp._scale) ** 2, variance, atol=1e-7)
    assert k.noise(theta) > JITTER


def test_what_was_worked_out_before_gives_the_same_posterior(cell):
    """Results come, change places, go; parameters change; candidates come later; the reader forgets."""
    found = list({cell.canonical_key(a): a for a in drawn(cell, 300)}.values())
    known, asked = found[:30], found[30:90]
    losses = np.random.default_rng(2).normal(size=30)
    kept = Solved()
    theta = GaussianProcess(GaussianProcess.Options(), cell).kernel.prior
    steps = [  # results in their order, candidates, shift of the parameters
        ([0, 1, 2], 40, 0.0), ([0, 1, 2, 3], 40, 0.0), ([*range(20)], 60, 0.0), ([0, 1, 3, 2, 4], 60, 0.0),
        ([*range(12)], 50, 0.2), ([0], 60, 0.2), ([*range(30)], 60, 0.2), ([*range(30)], 60, 0.0),
    ]  # fmt: skip
    for places, n, shift in steps:
        plain = GaussianProcess(GaussianProcess.Options(), cell, theta=theta + shift)
        plain.condition([known[i] for i in places], losses[places])
        wanted = plain.predict(asked[:n])
        plain.solved = kept
        np.testing.assert_allclose(plain.predict(asked[:n]), wanted, rtol=1e-9, atol=1e-9)
        if len(places) == 20:
            described(cell)._empty()
            plain.condition([known[i] for i in places], losses[places])
            np.testing.assert_allclose(plain.predict(asked[:n]), wanted, rtol=1e-9, atol=1e-9)


def test_better_losses_keep_their_scale_and_bad_ones_are_compressed(cell):
    """Below the median the way to standardized losses is a line; one hopeless network does not flatten the rest."""
    gp = GaussianProcess(GaussianProcess.Options(), cell)
    losses = np.array([-0.95, -0.94, -0.93, -0.92, -0.91, -0.10])
    z = gp._standardized(losses)
    np.testing.assert_allclose(gp._centre + gp._scale * z[:3], losses[:3], atol=1e-12)
    assert z[5] - z[4] < 5 * (z[2] - z[0])
    assert (np.diff(z) > 0).all()


def test_compression_is_undone_and_what_is_below_a_loss_is_exact(cell):
    """Against samples of the compressed normal, on both sides of the median and for losses on both sides of it."""
    gp = GaussianProcess(GaussianProcess.Options(), cell)
    losses = np.array([-0.95, -0.94, -0.93, -0.92, -0.91, -0.60, -0.10])
    z = gp._standardized(losses)
    np.testing.assert_allclose(gp.losses(gp._centre + gp._scale * z), losses, atol=1e-12)
    mean, sd = np.array([-0.95, -0.92, -0.90, -0.85]), np.array([0.01, 0.02, 0.015, 0.0])
    at = np.array([-np.inf, -0.96, -0.925, -0.91, -0.7])
    drawn = gp.losses(mean + sd * np.random.default_rng(0).standard_normal((200_000, 4)))
    wanted = np.maximum(at - drawn[..., None], 0).mean(axis=0)
    np.testing.assert_allclose(gp.below(mean, sd, at), wanted, atol=3e-4, rtol=1e-2)
    assert (gp.below(mean, sd, at)[:, 0] == 0).all()


def test_a_mean_of_measurements_counts_as_so_many(cell):
    """The posterior is that of the measurements one by one."""
    known, new = drawn(cell, 6), drawn(cell, 9, seed=5)
    counts, values = np.array([1, 3, 1, 2, 1, 4]), np.random.default_rng(2).normal(size=12)
    each = np.repeat(np.arange(6), counts)
    rows, targets = described(cell).read(known), np.array([values[each == i].mean() for i in range(6)])
    one, other = (GaussianProcess(GaussianProcess.Options(), cell) for _ in range(2))
    one._condition(rows, targets, counts.astype(float))
    other._condition(rows.at(each), values, np.ones(12))
    for a, b in zip(one.predict(new), other.predict(new), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)  # a millionth is added to each diagonal


def test_what_is_believed_lowers_the_spread_and_keeps_the_mean(cell):
    known, new = drawn(cell, 10), drawn(cell, 1, seed=9)
    gp = GaussianProcess(GaussianProcess.Options(), cell)
    gp.fit(known, np.random.default_rng(3).normal(size=10), np.random.default_rng(0))
    before = gp.predict(new)
    gp.believe(new)
    after = gp.predict(new)
    assert after[0] == pytest.approx(before[0], abs=1e-6)
    assert after[1] < before[1]


def test_names_and_order_of_options_do_not_matter(cell):
    """A kernel sees whether features are equal, never what they are called."""
    a = drawn(cell, 6)
    rows = described(cell).read(a)
    kernel = Kernel(Parts((0, 1, 2, 3), tuple(range(rows.codes.shape[1])), size=True))
    swapped = type(rows)(rows.shape, np.where(rows.codes > 0, 1000 - rows.codes, rows.codes), rows.numbers)
    np.testing.assert_array_equal(
        kernel.between(kernel.prior, rows, rows), kernel.between(kernel.prior, swapped, swapped)
    )


def test_structure_of_a_residual_block():
    """Input -> conv -> conv -> sum with the input: ways of 2 and 0 layers."""
    steps = [Step((-1,), layer=True), Step((0,), layer=True), Step((1, -1)), Step((2,), pool=True)]
    assert structure_of(steps) == dict(zip(STRUCTURE, (0.0, 1.0, np.log10(2), 1.0), strict=True))


def test_structure_of_a_cell_goes_with_that_of_the_network(cell):
    """The closed form of the cell is the plan's up to a factor and a constant."""
    some = [a for a in drawn(cell, 60) if cell.structure(a)["depth_mean"] > 0]
    small = type(cell)(type(cell).Options(cells=1)).bind(cell.data)
    whole = np.array([list(structure(small.plan(a)).values()) for a in some])
    alone = np.array([list(cell.structure(a).values()) for a in some])
    for j in range(len(STRUCTURE)):
        line = np.polyfit(alone[:, j], whole[:, j], 1)
        np.testing.assert_allclose(np.polyval(line, alone[:, j]), whole[:, j], atol=1e-9)


def test_log_expected_improvement_in_closed_form_and_far_out():
    mean, sd = np.array([0.0, 1.0, -2.0]), np.array([1.0, 0.5, 0.1])
    rng = np.random.default_rng(0)
    draws = mean + sd * rng.standard_normal((400_000, 3))
    np.testing.assert_allclose(
        np.exp(acquisition.log_expected_improvement(mean, sd, 0.0)), np.maximum(-draws, 0).mean(axis=0), atol=3e-3
    )
    far = acquisition.log_expected_improvement(np.array([30.0, 60.0, 1e4]), np.ones(3), 0.0)
    assert np.isfinite(far).all() and (np.diff(far) < 0).all()
    # phi(z) / z^2 is its limit
    assert far[1] == pytest.approx(-0.5 * 3600 - 0.5 * np.log(2 * np.pi) - 2 * np.log(60), abs=1e-2)


def test_thompson_sampling_draws_functions_of_the_posterior(cell):
    """Mean and spread of many draws are the posterior's, and one network has one value in each of them."""
    known, new = drawn(cell, 12), drawn(cell, 5, seed=7)
    gp = GaussianProcess(GaussianProcess.Options(), cell)
    gp.fit(known, np.random.default_rng(4).normal(size=12), np.random.default_rng(0))
    rows = gp.reader.read([*new, new[0]])
    rng = np.random.default_rng(5)
    draws = np.array([gp.draw(rows, rng) for _ in range(4_000)])
    mean, sd = gp.predict_rows(rows)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * sd.max() / np.sqrt(4_000))
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.08, atol=5e-3 * gp._scale)
    assert np.corrcoef(draws[:, 0], draws[:, -1])[0, 1] > 0.99
