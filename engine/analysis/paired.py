"""Did it beat random? The mean difference over pairs with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MeanDifference:
    """A mean over pairs.

    Attributes:
        n: pairs.
        mean: of the differences.
        low, high: 95 % confidence interval; None with fewer than two pairs.
        p: two-sided, of the paired t test; None as the interval.
    """

    n: int
    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def different(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean_difference(
    differences: Sequence[float], *, resolution: float = 0.0, confidence: float = 0.95
) -> MeanDifference | None:
    """The paired t interval (Student 1908) of differences that are about normal; None without any.

    Args:
        differences: one a pair.
        resolution: step of the two values of a pair, e.g. one validation sample. Each may be off by half of it, so that
            differences are taken to vary by resolution ** 2 / 6 at least: two pairs that happen to differ by the same
            number of samples prove nothing.
        confidence: of the interval.
    """
    n = len(differences)
    if not n:
        return None
    mean = math.fsum(differences) / n
    if n < 2:
        return MeanDifference(n, mean)
    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
    error = math.sqrt(max(variance, resolution**2 / 6) / n)
    half = t_quantile(0.5 + confidence / 2, n - 1) * error
    p = 2 * (1 - t_below(abs(mean) / error, n - 1)) if error > 0 else float(mean == 0)
    return MeanDifference(n, mean, mean - half, mean + half, min(1.0, p))


def t_below(t: float, dof: int) -> float:
    """P[T <= t] of Student's t with whole degrees of freedom (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4).

    Raises:
        ValueError: fewer than one degree of freedom.
    """
    if dof < 1:
        raise ValueError(f"degrees of freedom are at least 1, received {dof}")
    angle = math.atan(abs(t) / math.sqrt(dof))
    cos2 = math.cos(angle) ** 2
    # the sum over powers of the cosine that both cases share, each term from the one before
    odd = dof % 2
    term = math.cos(angle) if odd else 1.0
    total, k = 0.0, 1 if odd else 0
    while k < dof - 1:
        total += term
        k += 2
        term *= cos2 * (k - 1) / k
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return 0.5 + math.copysign(inside / 2, t)


def t_quantile(p: float, dof: int) -> float:
    """The t with P[T <= t] = p, for 0.5 <= p < 1, by halving: no statistics package in the web process.

    Raises:
        ValueError: p is outside of that.
    """
    if not 0.5 <= p < 1:
        raise ValueError(f"a quantile of the upper half is asked for with 0.5 <= p < 1, received {p}")
    low, high = 0.0, 1.0
    while t_below(high, dof) < p:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_below(middle, dof) < p else (low, middle)
    return (low + high) / 2
