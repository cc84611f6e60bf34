"""What a model may be fitted to: trials that are measured alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from engine.history import Level, TrialEntry, level_order


def common(entries: Iterable[TrialEntry]) -> tuple[Level | None, list[TrialEntry]]:
    """The level that most trials have a finite result at (of equally many the highest), and these trials in order.

    Where all trials have a level in common it is the highest such one. A trial of another source than the others, a
    person's or an earlier search's, does not leave the rest without a level, as it would with `common_level`.
    """
    kept = list(entries)
    counts: Counter[Level] = Counter(
        level for e in kept for level, values in e.values.items() if all(map(isfinite, values))
    )
    if not counts:
        return None, []
    level = max(counts, key=lambda found: (counts[found], level_order(found)))
    return level, [e for e in kept if level in e.values and all(map(isfinite, e.values[level]))]


def lifted(entries: Iterable[TrialEntry], top: Level | None) -> tuple[list[int], NDArray[np.float64]]:
    """Every trial that can be put on the scale of one level, for models that want many points.

    A trial without a result at `top` counts with the one at its highest level that shares trials with `top`, plus the
    mean difference of those. It is weaker data: the order within a low level stays, its noise too.

    Args:
        entries: trials.
        top: the level that the losses shall speak of.

    Returns:
        Numbers (n) in order, and losses (n, m), finite.
    """
    kept = [e for e in entries if e.values]
    here = {e.number: np.array(e.values[top]) for e in kept if top in e.values and np.isfinite(e.values[top]).all()}
    levels = sorted({level for e in kept for level in e.values if level != top}, key=level_order, reverse=True)
    out = dict(here)
    for level in levels:
        found = {e.number: np.array(e.values[level]) for e in kept if level in e.values}
        found = {n: v for n, v in found.items() if np.isfinite(v).all()}
        if both := [here[n] - v for n, v in found.items() if n in here]:
            shift = np.mean(both, axis=0)
            out |= {n: v + shift for n, v in found.items() if n not in out}
    numbers = sorted(out)
    return numbers, np.array([out[n] for n in numbers]) if numbers else np.zeros((0, 1))
