"""What a model may be fitted to: trials that are measured alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import isfinite

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
