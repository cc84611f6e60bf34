"""Exact statistics of counts: intervals of one accuracy, and whether two can be told apart.

Two networks judged on the same samples are compared by the samples on which exactly one of them is right (McNemar), never by
overlapping intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: two-sided 95 % quantile of the normal distribution
Z95 = 1.959963984540054


def wilson(right: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927), as shares.

    Args:
        right: successes.
        n: trials, at least 1.
        z: normal quantile.

    Raises:
        ValueError: `right` is not between 0 and `n`, or `n` is below 1.
    """
    if n < 1 or not 0 <= right <= n:
        raise ValueError(f"need 0 <= right <= n and n >= 1, not right={right}, n={n}")
    p = right / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if right == 0 else (centre - half) / scale
    high = 1.0 if right == n else (centre + half) / scale
    return low, high


def discordant(a: bytes, b: bytes, n: int) -> tuple[int, int]:
    """Samples on which only `a`, and only `b`, is right.

    Args:
        a, b: one bit per sample in the same order, packed with `numpy.packbits`.
        n: samples; bits beyond are padding.

    Raises:
        ValueError: the bits do not stand for `n` samples.
    """
    size = (n + 7) // 8
    if len(a) != size or len(b) != size:
        raise ValueError(f"{n} samples need {size} bytes, not {len(a)} and {len(b)}")
    x = np.unpackbits(np.frombuffer(a, np.uint8), count=n).astype(bool)
    y = np.unpackbits(np.frombuffer(b, np.uint8), count=n).astype(bool)
    return int((x & ~y).sum()), int((y & ~x).sum())


def binomial_two_sided(k: int, n: int) -> float:
    """Exact two-sided p-value of `k` of `n` against a fair coin: twice the smaller tail, at most 1."""
    if n == 0:
        return 1.0
    smaller = min(k, n - k)
    # log space: n may be thousands
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(smaller + 1)]
    top = max(logs)
    tail = math.exp(top - n * math.log(2)) * math.fsum(math.exp(v - top) for v in logs)
    return min(1.0, 2 * tail)


def mcnemar_exact(a: bytes, b: bytes, n: int) -> float:
    """Exact McNemar test (McNemar 1947; exact binomial form) of two paired classifiers; 1 where they never differ."""
    wins, losses = discordant(a, b, n)
    return binomial_two_sided(wins, wins + losses)


@dataclass(frozen=True)
class Verdict:
    """Outcome of a paired comparison.

    Attributes:
        p: exact two-sided p-value. The best of many trials is a chosen one: read it as a guide, not as a proof.
        wins, losses: samples on which only the first, only the second, is right.
        text: one phrase for a person.
    """

    p: float
    wins: int
    losses: int
    text: str

    @property
    def apart(self) -> bool:
        """Whether they can be told apart at 5 %."""
        return self.p < 0.05


def told_apart(a: bytes, b: bytes, n: int) -> Verdict:
    """Whether two networks judged on the same `n` samples can be told apart."""
    wins, losses = discordant(a, b, n)
    p = binomial_two_sided(wins, wins + losses)
    counts = f"{wins} to {losses} of {n:,} samples"
    if p >= 0.05:
        text = f"not distinguishable ({counts}, p = {p:.2g})"
    else:
        text = f"{'better' if wins > losses else 'worse'} ({counts}, p = {p:.2g})"
    return Verdict(p=p, wins=wins, losses=losses, text=text)
