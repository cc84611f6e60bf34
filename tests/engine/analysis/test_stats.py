"""Exact tests against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from engine.analysis.stats import (
    best_against_random,
    discordant,
    format_p,
    mcnemar,
    mcnemar_exact,
    told_apart,
    unpack,
    wilson,
)  # fmt: skip


def packed(right: list[int], n: int) -> bytes:
    """Bits of n samples, those in `right` set."""
    values = np.zeros(n, dtype=np.uint8)
    values[right] = 1
    return np.packbits(values).tobytes()


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (0, 10, 2 / 1024),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (1, 0, 1.0),
    ],
)
def test_mcnemar_closed_forms(wins, losses, p):
    """Sums of binomial coefficients over powers of two."""
    assert mcnemar(wins, losses) == pytest.approx(p, rel=1e-12)


def test_mcnemar_equals_the_binomial_test():
    """scipy's exact two-sided test at one half, also for thousands of samples."""
    rng = np.random.default_rng(0)
    for wins, losses in [*rng.integers(0, 60, size=(40, 2)).tolist(), (1400, 1600), (2500, 2400)]:
        expected = binomtest(wins, wins + losses, 0.5).pvalue if wins + losses else 1.0
        assert mcnemar(wins, losses) == pytest.approx(expected, rel=1e-9)


def test_bits_are_counted_per_sample_and_padding_is_not():
    """13 samples in two bytes; which ones differ decides, not how many are right."""
    a, b = packed([0, 1, 2, 12], 13), packed([0, 3], 13)
    assert discordant(a, b, 13) == (3, 1)
    assert mcnemar_exact(a, b, 13) == mcnemar(3, 1)
    assert unpack(a, 13).tolist() == [i in (0, 1, 2, 12) for i in range(13)]
    with pytest.raises(ValueError, match="13 samples are 2 bytes, received 1"):
        mcnemar_exact(a, b[:1], 13)


def test_same_errors_are_told_apart_by_fewer_samples_than_separate_intervals():
    """Ten samples decide although the shares' intervals overlap widely: what pairing is for."""
    n = 360
    a, b = packed(list(range(350)), n), packed(list(range(340)), n)
    verdict = told_apart(a, b, n, a="#7", b="#3")
    assert verdict.different and verdict.p == pytest.approx(2 / 1024)
    assert wilson(350, n)[0] < wilson(340, n)[1]
    assert verdict.text == "#7 is better than #3 (10 samples only #7 has right, 0 only #3; p = 0.002)"
    turned = told_apart(b, a, n, a="#3", b="#7")
    assert turned.text.startswith("#7 is better than #3")


def test_comparisons_are_counted():
    """The same pair, picked from ten, is no longer clear."""
    n = 64
    a, b = packed(list(range(40)), n), packed(list(range(33)), n)
    assert told_apart(a, b, n).different
    many = told_apart(a, b, n, comparisons=10)
    assert not many.different and many.p == pytest.approx(10 * 2 / 128)
    assert "counted for 10 comparisons" in many.text and "not distinguishable" in many.text
    with pytest.raises(ValueError, match="at least one comparison"):
        told_apart(a, b, n, comparisons=0)


def test_equal_bits():
    """Nothing to tell apart."""
    a = packed([1, 2], 10)
    assert told_apart(a, a, 10).text == "the first and the second have the same 10 samples right"


def test_best_against_the_best_of_random():
    """The strongest random one, corrected for their number; none without random ones."""
    n = 200
    best, weak, strong = packed(list(range(190)), n), packed(list(range(150)), n), packed(list(range(182)), n)
    verdict = best_against_random(best, [weak, strong, weak], n)
    assert (verdict.wins, verdict.losses) == (8, 0)
    assert verdict.p == pytest.approx(3 * 2 / 256)
    assert "the best of 3 random ones" in verdict.text
    assert best_against_random(best, [], n) is None


def test_wilson_closed_form():
    """From the quadratic it solves: (p - share)^2 = z^2 p (1 - p) / n."""
    z = 1.959963984540054
    for k, n in [(1, 10), (5, 10), (356, 360), (30, 1000)]:
        for p in wilson(k, n):
            assert (p - k / n) ** 2 == pytest.approx(z * z * p * (1 - p) / n, rel=1e-9)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 20)
    assert low == 0.0 and high == pytest.approx(z * z / (20 + z * z))
    assert wilson(20, 20)[1] == 1.0
    with pytest.raises(ValueError, match="5 of 4"):
        wilson(5, 4)


def test_p_as_people_read_it():
    """Never "p = 0.00"."""
    assert [format_p(p) for p in (0.0, 0.0004, 0.0042, 0.03, 1.0)] == [
        "p < 0.001", "p < 0.001", "p = 0.004", "p = 0.03", "p = 1.00",
    ]  # fmt: skip
    assert math.isclose(mcnemar(0, 3000), 0.0, abs_tol=1e-300)
