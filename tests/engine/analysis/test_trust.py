"""Agreement of orders: against scipy, closed forms, and resamples written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from engine.analysis.trust import LEAST, RESAMPLES, advantage, agreement, kendall, resamples, spearman, top


def measures(n, seed, steps=None):
    """Two measures that agree in part; `steps` makes ties."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    b = a + rng.normal(size=n)
    return (np.round(a * steps), np.round(b * steps)) if steps else (a, b)


@pytest.mark.parametrize("steps", [None, 1, 3])
@pytest.mark.parametrize("n", [4, 11, 40])
def test_correlations_are_scipys_with_and_without_ties(n, steps):
    a, b = measures(n, n, steps)
    assert spearman(a, b)[0] == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert kendall(a, b)[0] == pytest.approx(kendalltau(a, b).statistic, abs=1e-12)


@pytest.mark.parametrize("steps", [None, 2])
def test_a_row_of_weights_is_that_resample_written_out(steps):
    a, b = measures(12, 3, steps)
    w = resamples(12)[:40]
    rows = [np.repeat(np.arange(12), row.astype(int)) for row in w]
    assert spearman(a, b, w) == pytest.approx([spearmanr(a[i], b[i]).statistic for i in rows], abs=1e-12)
    assert kendall(a, b, w) == pytest.approx([kendalltau(a[i], b[i]).statistic for i in rows], abs=1e-12)
    assert top(a, b, 3, w) == pytest.approx([top(a[i], b[i], 3)[0] for i in rows], abs=1e-12)


def test_the_top_without_ties_is_the_share_in_common():
    a, b = measures(20, 5)
    for k in (1, 3, 5):
        common = set(np.argsort(-a)[:k]) & set(np.argsort(-b)[:k])
        assert top(a, b, k)[0] == pytest.approx(len(common) / k)


def test_ties_for_the_last_place_share_it():
    # of the three that tie for two places each has two thirds of a place
    assert top([3, 2, 2, 2], [4, 3, 2, 1], 3)[0] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert top([1, 1, 1, 1], [4, 3, 2, 1], 1)[0] == pytest.approx(1 / 4)  # saying nothing is chance


def test_the_same_order_agrees_wholly_and_the_opposite_not_at_all():
    a = [0.1, 0.4, 0.2, 0.9, 0.5, 0.3, 0.8]
    same, opposite = agreement(a, [10 * v for v in a]), agreement(a, [-v for v in a])
    assert (same.spearman.value, same.kendall.value, same.top[1].value) == pytest.approx((1, 1, 1))
    assert (opposite.spearman.value, opposite.kendall.value, opposite.top[1].value) == pytest.approx((-1, -1, 0))
    assert same.spearman.above_zero and opposite.spearman.below_zero
    assert sorted(same.top) == [1, 3]  # of seven the five best are most of them


def test_the_interval_is_the_percentiles_of_the_seeded_resamples():
    a, b = measures(15, 8)
    found = agreement(a.tolist(), b.tolist(), seed=4)
    drawn = np.array([
        spearmanr(a[i], b[i]).statistic
        for i in (np.repeat(np.arange(15), row.astype(int)) for row in resamples(15, 4))
    ])  # fmt: skip
    assert len(drawn) == RESAMPLES
    assert (found.spearman.low, found.spearman.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    assert found == agreement(a.tolist(), b.tolist(), seed=4)


def test_the_interval_holds_the_true_value_about_as_often_as_it_says():
    true = 6 / math.pi * math.asin(math.sqrt(0.5) / 2)  # of two normal measures with correlation sqrt(1/2)
    inside = 0
    for seed in range(60):
        a, b = measures(40, seed)
        low, high = (lambda i: (i.low, i.high))(agreement(a.tolist(), b.tolist()).spearman)
        inside += low <= true <= high
    assert inside >= 51  # 57 on average; fewer than 51 come about by chance once in a hundred


def test_few_architectures_carry_no_interval():
    few = agreement([1, 2, 3, 4], [1, 2, 3, 4])
    assert few.n < LEAST and few.spearman.value == pytest.approx(1) and few.spearman.low is None
    assert not few.spearman.above_zero
    assert math.isnan(agreement([1], [1]).spearman.value) and agreement([], []).n == 0


def test_a_measure_that_never_differs_says_nothing():
    found = agreement([0.5] * 8, list(range(8)))
    assert math.isnan(found.spearman.value) and found.spearman.low is None
    assert found.top[1].value == pytest.approx(1 / 8)


def test_a_score_is_above_its_rival_only_where_the_interval_says_so():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=60)
    score, rival = truth + 0.2 * rng.normal(size=60), rng.normal(size=60)
    assert advantage(truth, score, rival).above_zero
    assert advantage(truth, rival, score).below_zero
    near = advantage(truth[:8], truth[:8] + rng.normal(size=8), truth[:8] + rng.normal(size=8))
    assert near.low < 0 < near.high
    assert advantage(truth, score, score).value == 0


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="received 2 and 3"):
        agreement([1, 2], [1, 2, 3])
