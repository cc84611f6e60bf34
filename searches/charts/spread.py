"""Small histograms of what sampled networks cost: bars only, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 32
HEIGHT = 36
STEP = 8  # width of a bar with its gap


@dataclass(frozen=True)
class Bar:
    """One bar, in the units of the drawing; `low` and `high` are the costs it counts."""

    x: float
    y: float
    height: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Histogram:
    """Bars and the words beside them.

    Attributes:
        title: what is counted.
        first, last: smallest and largest value, with units.
        summary: the same as one sentence, for screen readers.
    """

    title: str
    bars: tuple[Bar, ...]
    width: int
    height: int
    first: str
    last: str
    summary: str


def histogram(title: str, values: Sequence[float]) -> Histogram:
    """Counts of values (all at least 0, in any order, not empty) in equal steps of their logarithm."""
    logs = [math.log10(max(v, 1.0)) for v in values]
    low, high = min(logs), max(logs)
    width = (high - low) / BINS or 1.0
    counts = [0] * BINS
    for v in logs:
        counts[min(BINS - 1, int((v - low) / width))] += 1
    most = max(counts)
    bars = tuple(
        Bar(
            x=i * STEP,
            y=round(HEIGHT - 1 - (HEIGHT - 2) * n / most, 2),
            height=round((HEIGHT - 2) * n / most, 2),
            n=n,
            low=10 ** (low + i * width),
            high=10 ** (low + (i + 1) * width),
        )
        for i, n in enumerate(counts)
    )
    first, last = si(min(values)), si(max(values))
    middle = sorted(values)[len(values) // 2]
    return Histogram(
        title=title,
        bars=bars,
        width=BINS * STEP,
        height=HEIGHT,
        first=first,
        last=last,
        summary=f"{title} of {len(values)} sampled networks: {first} to {last}, median {si(middle)}",
    )


def si(value: float) -> str:
    """A count in k, M or G with up to three digits: "443.8 k", "6.28 M"."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            scaled = value / limit
            return (
                f"{scaled:.2f} {unit}"
                if scaled < 10
                else f"{scaled:.1f} {unit}"
                if scaled < 1000
                else f"{scaled:,.0f} {unit}"
            )
    return f"{value:,.0f}"
