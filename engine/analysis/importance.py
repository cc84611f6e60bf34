"""Accuracy by option of each decision: what the trials so far say about single choices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class OptionRow:
    """One option of one decision.

    Attributes:
        decision: its name.
        option: as written in the architecture; None stands for "decision not active" only where `active` is False.
        active: whether the decision exists in these trials.
        count: trials.
        mean, low, high: of their values; low and high are the extremes.
        sd: standard deviation, NaN for one trial.
        best: number of the best trial.
    """

    decision: str
    option: Any
    active: bool
    count: int
    mean: float
    low: float
    high: float
    sd: float
    best: int


@dataclass
class DecisionRow:
    """A decision with its options.

    Attributes:
        decision: its name.
        share: of the variance of values that this decision's options explain alone (eta squared, 0 to 1: the main
            effect of functional ANOVA, Hutter et al. 2014, on the trials as they are, so options that a strategy
            preferred together share the credit). NaN with fewer than two options seen or no variance.
        options: in the order first given, else first seen.
    """

    decision: str
    share: float
    options: list[OptionRow] = field(default_factory=list)


def by_option(
    trials: Iterable[tuple[int, Mapping[str, Any], float]],
    decisions: Mapping[str, Sequence[Any]] | None = None,
    *,
    maximize: bool = True,
) -> list[DecisionRow]:
    """Values by option of each decision, the most telling decision first.

    Args:
        trials: (number, choices, value), all measured at the same source and fidelity; values that are not finite are
            left out.
        decisions: names and options in the order to show; what is not in it is added as seen.
        maximize: whether the largest value is the best.

    Returns:
        One row per decision seen at least once. Cost: one pass over the trials and their decisions.
    """
    rows = [(number, choices, float(value)) for number, choices, value in trials if math.isfinite(value)]
    names = list(decisions or {})
    for _, choices, _ in rows:
        names += [name for name in choices if name not in names]
    total = _Sums()
    for _, _, value in rows:
        total.add(value, 0, maximize)
    out: list[DecisionRow] = []
    for name in names:
        groups: dict[tuple[bool, Any], _Sums] = {(True, o): _Sums() for o in (decisions or {}).get(name, ())}
        for number, choices, value in rows:
            key = (name in choices, choices.get(name))
            groups.setdefault(key, _Sums()).add(value, number, maximize)
        seen = {key: sums for key, sums in groups.items() if sums.count}
        if not any(active for active, _ in seen):
            continue
        between = sum(s.count * (s.mean - total.mean) ** 2 for s in seen.values())
        share = min(1.0, between / total.squares) if len(seen) > 1 and total.squares > 0 else math.nan
        row = DecisionRow(name, share)
        for (active, option), s in seen.items():
            sd = math.sqrt(s.squares / (s.count - 1)) if s.count > 1 else math.nan
            row.options.append(OptionRow(name, option, active, s.count, s.mean, s.low, s.high, sd, s.best))
        out.append(row)
    return sorted(out, key=lambda r: (not math.isfinite(r.share), -r.share if math.isfinite(r.share) else 0.0))


@dataclass
class _Sums:
    """Count, mean, squares and extremes in one pass (Welford 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    best: int = 0

    def add(self, value: float, number: int, maximize: bool) -> None:
        """Takes one more value."""
        if (value > self.high) if maximize else (value < self.low):
            self.best = number
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)
        self.low, self.high = min(self.low, value), max(self.high, value)
