"""Can two results be told apart? Exact tests on the same validation samples, intervals for counts.

A search compares many trials and keeps the luckiest, so a p value here is about one pair chosen beforehand; a pair
picked because it looks best (best of a search against best of random draws) flatters itself. `told_apart` corrects for
the number of comparisons it is told of, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

#: two results count as different below this p value
ALPHA = 0.05


def unpack(bits: bytes, n: int) -> NDArray[np.bool_]:
    """One truth value per sample from `numpy.packbits` bytes, shape (n,).

    Raises:
        ValueError: too few or too many bytes for `n` samples.
    """
    if len(bits) != (n + 7) // 8:
        raise ValueError(f"{n} samples are {(n + 7) // 8} bytes, received {len(bits)}")
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=n).astype(bool)


def discordant(bits_a: bytes, bits_b: bytes, n: int) -> tuple[int, int]:
    """(samples only a has right, samples only b has right)."""
    a, b = unpack(bits_a, n), unpack(bits_b, n)
    return int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact p value of `wins` against `losses` discordant samples under a fair coin; 1.0 without any.

    McNemar 1947 in its exact form: ``min(1, 2 P[X <= min(wins, losses)])``, X ~ Binomial(wins + losses, 1/2).
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"counts are not negative, received {wins} and {losses}")
    if wins == losses:
        return 1.0
    n, term, total = wins + losses, 1, 0
    for k in range(min(wins, losses) + 1):
        total += term  # n over k, in whole numbers: exact, and no statistics package in the web process
        term = term * (n - k) // (k + 1)
    return min(1.0, 2 * total / (1 << n))


def mcnemar_exact(bits_a: bytes, bits_b: bytes, n: int) -> float:
    """`mcnemar` of two classifiers on the same n samples, as packed bits of what each has right.

    Raises:
        ValueError: bytes do not fit `n`.
    """
    return mcnemar(*discordant(bits_a, bits_b, n))


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share k of n; (0, 1) for n = 0 (Wilson 1927)."""
    if not 0 <= k <= n:
        raise ValueError(f"a count out of n lies between 0 and n, received {k} of {n}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, z2 = k / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Verdict:
    """Whether a and b can be told apart on the same samples.

    Attributes:
        p: two-sided exact McNemar p value, times the number of comparisons (Bonferroni), at most 1.
        wins: samples only a has right.
        losses: samples only b has right.
        different: p < 0.05.
        text: for people, without a full stop.
    """

    p: float
    wins: int
    losses: int
    different: bool
    text: str


def told_apart(
    bits_a: bytes, bits_b: bytes, n: int, *, a: str = "the first", b: str = "the second", comparisons: int = 1
) -> Verdict:
    """Compares two trials on the same n validation samples.

    Args:
        bits_a, bits_b: what each has right, packed.
        n: samples.
        a, b: how to call them.
        comparisons: of how many pairs this one was picked (the p value is multiplied by it).

    Raises:
        ValueError: bytes do not fit `n`, or no comparisons.
    """
    if comparisons < 1:
        raise ValueError(f"at least one comparison, received {comparisons}")
    wins, losses = discordant(bits_a, bits_b, n)
    p = min(1.0, comparisons * mcnemar(wins, losses))
    if wins == losses == 0:
        return Verdict(p, 0, 0, False, f"{a} and {b} have the same {n:,} samples right")
    how = f"{wins:,} samples only {a} has right, {losses:,} only {b}; {format_p(p)}"
    if comparisons > 1:
        how += f", counted for {comparisons:,} comparisons"
    if p >= ALPHA:
        return Verdict(p, wins, losses, False, f"{a} is not distinguishable from {b} ({how})")
    better, worse = (a, b) if wins > losses else (b, a)
    return Verdict(p, wins, losses, True, f"{better} is better than {worse} ({how})")


def best_against_random(best: bytes, randoms: Sequence[bytes], n: int, *, name: str = "the best") -> Verdict | None:
    """The best of a search against the best of its random trials; None without random trials.

    Both were picked for their luck on these very samples. The pair is one of len(randoms), so p is corrected for that
    many; the luck of the search's own pick cannot be corrected for from bits alone, and only fresh samples settle it.
    """
    if not randoms:
        return None
    strongest = max(randoms, key=lambda bits: int(unpack(bits, n).sum()))
    many = f"the best of {len(randoms)} random ones" if len(randoms) > 1 else "the random one"
    return told_apart(best, strongest, n, a=name, b=many, comparisons=len(randoms))


def format_p(p: float) -> str:
    """E.g. "p = 0.03", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.01 else f"p = {p:.2f}"
