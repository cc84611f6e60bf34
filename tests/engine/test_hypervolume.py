"""Hypervolume and its expected improvement: closed forms, a brute-force twin, sampling."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from engine.hypervolume import beyond, hypervolume
from engine.predictors.acquisition import expected_hypervolume_improvement, improvement


def by_counting(values, reference):
    """On whole numbers: cells below the reference that some point dominates."""
    grid = np.stack(np.meshgrid(*[np.arange(r) for r in reference.astype(int)], indexing="ij"), -1).reshape(
        -1, len(reference)
    )
    return int((values[None] <= grid[:, None]).all(-1).any(-1).sum())


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_hypervolume_counts_cells(objectives):
    rng = np.random.default_rng(objectives)
    for n in (0, 1, 2, 5, 12):
        values = rng.integers(0, 9, (n, objectives)).astype(float)
        reference = np.full(objectives, 7.0)
        assert hypervolume(values, reference) == by_counting(values, reference)


def test_hypervolume_in_closed_form():
    """A staircase of n equal steps; points beyond the reference and infinite ones count nothing."""
    n = 10
    steps = np.array([[i / n, 1 - (i + 1) / n] for i in range(n)])
    one = np.ones(2)
    assert hypervolume(steps, one) == pytest.approx((n + 1) / (2 * n))
    assert hypervolume(np.vstack([steps, [[-5, 1.0]], [[np.inf, 0]]]), one) == pytest.approx((n + 1) / (2 * n))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_boxes_are_what_is_not_dominated(objectives):
    """Every point below the reference is dominated, or in exactly one box."""
    rng = np.random.default_rng(objectives)
    for n in (0, 1, 3, 10):
        values, reference = rng.random((n, objectives)), np.full(objectives, 0.9)
        lower, upper = beyond(values, reference)
        points = rng.random((500, objectives)) * 0.9
        dominated = (values[None] <= points[:, None]).all(-1).any(-1)
        inside = ((lower[None] < points[:, None]) & (points[:, None] <= upper[None])).all(-1).sum(-1)
        assert np.array_equal(inside, (~dominated).astype(int))


def test_boxes_of_three_objectives_are_few():
    """About two a point, not one for each point and slice."""
    rng = np.random.default_rng(0)
    sphere = np.abs(rng.normal(size=(40, 3)))
    values = 1 - sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    lower, _ = beyond(values, np.ones(3))
    assert len(lower) <= 4 * 40


@pytest.mark.parametrize("objectives", [2, 3])
def test_expected_improvement_is_the_mean_improvement(objectives):
    """Against samples, one objective known exactly; and without spread it is the improvement itself."""
    rng = np.random.default_rng(objectives)
    values, reference = rng.random((8, objectives)), np.ones(objectives)
    boxes = beyond(values, reference)
    mean, sd = rng.random((4, objectives)), 0.2 * rng.random((4, objectives))
    sd[:, -1] = 0
    have = hypervolume(values, reference)
    gains = [[partial(improvement, mean[:, j], s[:, j]) for j in range(objectives)] for s in (sd, np.zeros_like(sd))]
    found, sure = (expected_hypervolume_improvement(g, *boxes) for g in gains)
    for i in range(3):
        gained = [
            hypervolume(np.vstack([values, mean[i] + sd[i] * rng.normal(size=objectives)]), reference) - have
            for _ in range(600)
        ]
        assert found[i] == pytest.approx(np.mean(gained), abs=4 * np.std(gained) / 600**0.5 + 1e-4)
        assert sure[i] == pytest.approx(hypervolume(np.vstack([values, mean[i]]), reference) - have, abs=1e-12)
