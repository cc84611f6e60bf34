"""Rewards from losses of any scale and any number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.base import Failure
from engine.history import Level, TrialEntry

#: results of one level that a new one is compared with
WINDOW = 200
#: of a trial that failed by its own fault, and of an architecture that must not be tried: all others are better
WORST = -1.0
#: failures that say nothing about the architecture
_NOT_ITS_FAULT = frozenset({"cancelled", "disk_full", "worker_lost"})


class Rewards:
    """One number from -1 to 1 for each result: the share of the last `WINDOW` results that it dominates, minus the
    share that dominate it.

    With one objective that is its rank, scaled; with several it counts domination (as in Fonseca and Fleming 1993), so
    that the middle of a front and its ends are worth the same. It does not depend on the scale of a loss, and an
    outlier moves it no more than any other result. A trial counts with its first result, among first results of the
    same level: later rungs are reached by promoted trials only, which would be compared with each other alone.
    """

    def __init__(self) -> None:
        self._window: dict[Level, deque[tuple[float, ...]]] = {}
        self._arrays: dict[Level, NDArray[np.float64]] = {}  # the windows as arrays (n, objectives), made when needed

    def add(self, entry: TrialEntry) -> float | None:
        """Notes the first result of a trial, or that it failed without one; its reward, None if it has none."""
        if not entry.values:
            return self.of(entry)
        level, losses = next(iter(entry.values.items()))
        self._window.setdefault(level, deque(maxlen=WINDOW)).append(losses)
        self._arrays.pop(level, None)
        return self.of(entry)

    def of(self, entry: TrialEntry) -> float | None:
        """The reward of a trial as things stand now: None without a result or without fault of its own."""
        if not entry.values:
            return WORST if at_fault(entry.failure) else None
        level, losses = next(iter(entry.values.items()))
        if level not in self._arrays:
            self._arrays[level] = np.array(self._window[level])
        others = self._arrays[level]
        if len(losses) == 1:
            return float((np.count_nonzero(others > losses[0]) - np.count_nonzero(others < losses[0])) / len(others))
        own = np.array(losses)
        beaten = (others >= own).all(axis=1) & (others > own).any(axis=1)
        better = (others <= own).all(axis=1) & (others < own).any(axis=1)
        return float(beaten.mean() - better.mean())

    def rebuild(self, told: Iterable[TrialEntry]) -> None:
        """What adding these one by one, in the order of their first results, would have left."""
        self._window.clear()
        self._arrays.clear()
        for entry in told:
            self.add(entry)


def at_fault(failure: Failure | None) -> bool:
    """Whether a failure is the architecture's own: not a person's, a full disk's or a lost worker's."""
    return failure is not None and failure.kind not in _NOT_ITS_FAULT
