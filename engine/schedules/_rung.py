"""Ranked trials of one rung, updated one insertion at a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from typing import Protocol

import numpy as np

from engine.history import dominates
from engine.objectives import crowding

Loss = tuple[float, ...]


class Ranked(Protocol):
    """Trials with losses, some of them waiting; ranks count from 1."""

    def __len__(self) -> int: ...
    def add(self, trial: int, loss: Loss) -> None:
        """Adds a trial, waiting."""

    def take(self, trial: int) -> None:
        """It no longer waits; it stays ranked."""

    def rank(self, trial: int) -> int:
        """Rank among all, 1 = best."""

    def best_waiting(self) -> int | None:
        """Best of those that wait."""

    def worst_waiting(self) -> int | None:
        """Worst of those that wait."""

    def waiting_within(self, rank: int) -> int:
        """How many of those that wait have at most this rank (or an upper bound)."""

    @property
    def waiting(self) -> int:
        """How many wait."""


class SortedRung:
    """One objective: two sorted lists; O(log n) comparisons an operation."""

    def __init__(self) -> None:
        self._key: dict[int, tuple[float, int]] = {}
        self._all: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._all)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, trial: int, loss: Loss) -> None:
        """Adds a trial, waiting."""
        key = self._key[trial] = (loss[0], trial)
        insort(self._all, key)
        insort(self._waiting, key)

    def take(self, trial: int) -> None:
        """It no longer waits; unknown or taken trials are left alone."""
        key = self._key.get(trial)
        if key is None:
            return
        at = bisect_left(self._waiting, key)
        if at < len(self._waiting) and self._waiting[at] == key:
            del self._waiting[at]

    def rank(self, trial: int) -> int:
        """Rank among all, 1 = best; ties in order of their numbers."""
        return bisect_left(self._all, self._key[trial]) + 1

    def best_waiting(self) -> int | None:
        """Best of those that wait."""
        return self._waiting[0][1] if self._waiting else None

    def worst_waiting(self) -> int | None:
        """Worst of those that wait."""
        return self._waiting[-1][1] if self._waiting else None

    def waiting_within(self, rank: int) -> int:
        """How many of those that wait have at most this rank."""
        if rank >= len(self._all):
            return len(self._waiting)
        return bisect_right(self._waiting, self._all[rank - 1]) if rank >= 1 else 0


class FrontsRung:
    """Several objectives: fronts kept by inserting one trial at a time (Li et al. 2017, ENLU).

    A new trial enters the first front none of whose members dominates it (found by bisection) and pushes those it
    dominates one front down, which push others in turn. Within a front the rank is by crowding, then by number.
    """

    def __init__(self) -> None:
        self._fronts: list[dict[int, Loss]] = []
        self._front_of: dict[int, int] = {}
        self._is_waiting: set[int] = set()
        self._waiting_in: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._front_of)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._is_waiting)

    def add(self, trial: int, loss: Loss) -> None:
        """Adds a trial, waiting."""
        low, high = 0, len(self._fronts)
        while low < high:  # first front that does not dominate it
            middle = (low + high) // 2
            if any(dominates(other, loss) for other in self._fronts[middle].values()):
                low = middle + 1
            else:
                high = middle
        self._is_waiting.add(trial)
        moving, at = {trial: loss}, low
        while moving:
            if at == len(self._fronts):
                self._fronts.append({})
            front = self._fronts[at]
            pushed = {t: v for t, v in front.items() if any(dominates(m, v) for m in moving.values())}
            for t in pushed:
                del front[t]
            for t, v in moving.items():
                front[t] = v
                if t in self._is_waiting:
                    if t in self._front_of:
                        self._waiting_in[self._front_of[t]] -= 1
                    self._waiting_in[at] += 1
                self._front_of[t] = at
            moving, at = pushed, at + 1

    def take(self, trial: int) -> None:
        """It no longer waits; unknown or taken trials are left alone."""
        if trial in self._is_waiting:
            self._is_waiting.discard(trial)
            self._waiting_in[self._front_of[trial]] -= 1

    def _ordered(self, at: int) -> list[int]:
        front = self._fronts[at]
        trials = sorted(front)
        values = np.array([front[t] for t in trials], dtype=float)
        if not np.isfinite(values).all():
            return trials
        return [trials[i] for i in np.argsort(-crowding(values), kind="stable")]

    def rank(self, trial: int) -> int:
        """Rank among all, 1 = best."""
        at = self._front_of[trial]
        return sum(len(f) for f in self._fronts[:at]) + self._ordered(at).index(trial) + 1

    def best_waiting(self) -> int | None:
        """Best of those that wait."""
        for at in range(len(self._fronts)):
            if self._waiting_in[at] > 0:
                return next(t for t in self._ordered(at) if t in self._is_waiting)
        return None

    def worst_waiting(self) -> int | None:
        """Worst of those that wait."""
        for at in reversed(range(len(self._fronts))):
            if self._waiting_in[at] > 0:
                return next(t for t in reversed(self._ordered(at)) if t in self._is_waiting)
        return None

    def waiting_within(self, rank: int) -> int:
        """An upper bound of how many of those that wait have at most this rank."""
        return min(rank, len(self._is_waiting))
