"""The mean difference over pairs: against scipy and tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.analysis.paired import mean_difference, t_below, t_quantile


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 7, 10, 29, 100])
@pytest.mark.parametrize("t", [-3.0, -0.4, 0.0, 0.7, 2.0, 12.7])
def test_students_t_is_scipys(t, dof):
    assert t_below(t, dof) == pytest.approx(stats.t.cdf(t, dof), abs=1e-12)


@pytest.mark.parametrize(("dof", "wanted"), [(1, 12.706), (2, 4.303), (3, 3.182), (9, 2.262), (30, 2.042)])
def test_quantiles_stand_in_every_table(dof, wanted):
    assert t_quantile(0.975, dof) == pytest.approx(wanted, abs=5e-4)


@pytest.mark.parametrize("n", [2, 3, 8, 25])
def test_interval_and_p_are_those_of_the_paired_t_test(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
    found = mean_difference((a - b).tolist())
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval()
    assert found.mean == pytest.approx(np.mean(a - b))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(test.pvalue)
    assert found.different == (test.pvalue < 0.05)


def test_differences_are_known_no_better_than_their_step():
    same = mean_difference([1 / 360, 1 / 360], resolution=1 / 360)
    assert not same.different and same.high - same.mean == pytest.approx(12.706 / 360 / np.sqrt(12), rel=1e-4)
    assert mean_difference([1 / 360, 1 / 360]).different  # what a plain t test would say
    wide = [0.02, 0.05, 0.03]
    assert mean_difference(wide, resolution=1 / 360) == mean_difference(wide)


def test_one_pair_has_a_difference_and_no_interval_and_none_has_nothing():
    one = mean_difference([0.02])
    assert (one.n, one.mean, one.low, one.different) == (1, 0.02, None, False)
    assert mean_difference([]) is None


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="received 0"):
        t_below(1.0, 0)
    with pytest.raises(ValueError, match=r"received 0\.2"):
        t_quantile(0.2, 3)
