"""Can scores be trusted? How far two measures of the same architectures agree on their order, with bootstrap intervals.

Accuracy under shared weights and accuracy trained alone are never compared as numbers; what can be compared is the
order they put architectures into. Beside it stand what two trainings of the same architectures agree on (more than
that no score can reach) and what counting multiply-adds alone gives (less than that no score is worth its price).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
#: bootstrap resamples, and the share of them that an interval holds
RESAMPLES, CONFIDENCE = 2000, 0.95
#: fewer architectures carry no interval: even five in the same order come about by chance once in 60, four once in 12
LEAST = 5
#: sizes of the top that are compared, where there are more than twice as many architectures
TOPS = (1, 3, 5)


@dataclass(frozen=True)
class Interval:
    """A number with its percentile bootstrap interval.

    Attributes:
        value: NaN where it is not defined (one of the two measures never differs).
        low, high: None where too few architectures carry an interval.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high is not None and self.high < 0


@dataclass(frozen=True)
class Agreement:
    """How far two measures of the same n architectures agree.

    Attributes:
        n: architectures.
        spearman: rank correlation (Spearman 1904), tied values sharing the mean of their ranks.
        kendall: tau-b (Kendall 1945), which corrects for ties.
        top: by k: share of the k best by one measure that are among the k best by the other; chance gives k / n.
    """

    n: int
    spearman: Interval
    kendall: Interval
    top: Mapping[int, Interval]


def spearman(a: ArrayLike, b: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Rank correlation with ties.

    Args:
        a, b: (n,) measures.
        weights: (resamples, n) how often each architecture stands in a resample; None = once.

    Returns:
        (resamples,), NaN where one side is constant.
    """
    w = _weights(a, weights)
    return _correlation(_ranks(np.asarray(a, float), w), _ranks(np.asarray(b, float), w), w)


def kendall(a: ArrayLike, b: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Kendall's tau-b; arguments and result as of `spearman`."""
    w = _weights(a, weights)
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.asarray(a, float), np.asarray(b, float)))

    def pairs(signs: Floats) -> Floats:
        out: Floats = np.einsum("bi,bi->b", w @ signs, w)
        return out

    return _divided(pairs(x * y), np.sqrt(pairs(x * x) * pairs(y * y)))


def top(a: ArrayLike, b: ArrayLike, k: int, weights: ArrayLike | None = None) -> Floats:
    """Share of the k best by `a` that are among the k best by `b`, larger being better; as `spearman` otherwise.

    Those tied for the last places share them: the result is what breaking ties at random gives on average.
    """
    w = _weights(a, weights)
    inside = _places(np.asarray(a, float), k, w) * _places(np.asarray(b, float), k, w)
    out: Floats = (inside * w).sum(axis=1) / k
    return out


def agreement(a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Agreement:
    """How far two measures of the same architectures agree, larger being better in both.

    Args:
        a, b: of each architecture, in the same order.
        seed: of the resamples.

    Raises:
        ValueError: not the same number of architectures.
    """
    if len(a) != len(b):
        raise ValueError(f"measures of the same architectures have one length, received {len(a)} and {len(b)}")
    n = len(a)
    drawn = resamples(n, seed)

    def measured(measure: Callable[..., Floats]) -> Interval:
        return _interval(float(measure(a, b)[0]), measure(a, b, weights=drawn) if n >= LEAST else None)

    if n < 2:
        nothing = Interval(float("nan"))
        return Agreement(n, nothing, nothing, {})
    tops = {k: measured(partial(top, k=k)) for k in TOPS if n > 2 * k}
    return Agreement(n, measured(spearman), measured(kendall), tops)


def advantage(truth: Sequence[float], score: Sequence[float], rival: Sequence[float], *, seed: int = 0) -> Interval:
    """By how much a score's Spearman with the truth is above a rival's, on the same resamples.

    Args:
        truth, score, rival: of each architecture, in the same order; larger is better.
        seed: of the resamples.
    """
    if len(truth) < 2:
        return Interval(float("nan"))
    value = float(spearman(score, truth)[0] - spearman(rival, truth)[0])
    if len(truth) < LEAST:
        return Interval(value)
    drawn = resamples(len(truth), seed)
    return _interval(value, spearman(score, truth, drawn) - spearman(rival, truth, drawn))


def resamples(n: int, seed: int = 0) -> Floats:
    """(RESAMPLES, n): how often each of n stands in each resample of n with replacement."""
    if not n:
        return np.zeros((RESAMPLES, 0))
    return np.random.default_rng([seed, n]).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)


# -- on resamples ----------------------------------------------------------------------------------
# A resample is a row of weights, so that all of them are one product of matrices: no copy of the data is made.
def _weights(a: ArrayLike, weights: ArrayLike | None) -> Floats:
    return np.ones((1, np.asarray(a).shape[0])) if weights is None else np.asarray(weights, float)


def _ranks(values: Floats, w: Floats) -> Floats:
    """(resamples, n) mean ranks from 1; those of architectures that are not in a resample weigh nothing."""
    below = (values[None, :] < values[:, None]).astype(float)
    equal = (values[None, :] == values[:, None]).astype(float)
    out: Floats = w @ below.T + (w @ equal.T + 1) / 2
    return out


def _correlation(x: Floats, y: Floats, w: Floats) -> Floats:
    """Pearson's, row by row."""
    total = w.sum(axis=1, keepdims=True)
    x = x - (w * x).sum(axis=1, keepdims=True) / total
    y = y - (w * y).sum(axis=1, keepdims=True) / total
    return _divided((w * x * y).sum(axis=1), np.sqrt((w * x * x).sum(axis=1) * (w * y * y).sum(axis=1)))


def _places(values: Floats, k: int, w: Floats) -> Floats:
    """(resamples, n) chance of each copy of an architecture to stand among the k best."""
    levels, of = np.unique(-values, return_inverse=True)  # the best level first
    sizes = w @ (of[:, None] == np.arange(len(levels))[None, :]).astype(float)
    before = np.cumsum(sizes, axis=1) - sizes
    share = np.clip(_divided(k - before, sizes), 0, 1)
    out: Floats = np.nan_to_num(share)[:, of]
    return out


def _divided(top: Floats, bottom: Floats) -> Floats:
    """NaN where there is nothing to divide by; rounding never lifts a correlation above 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = np.where(bottom > 1e-12, top / bottom, np.nan)
    return out


def _interval(value: float, drawn: Floats | None) -> Interval:
    """The percentiles of what came out of the resamples; none where most of them say nothing."""
    if drawn is None or np.isnan(value):
        return Interval(value)
    known = drawn[~np.isnan(drawn)]
    if len(known) < len(drawn) / 2:
        return Interval(value)
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))
