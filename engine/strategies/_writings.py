"""Candidates of small spaces by class, each with the writing of it that would be tried next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.spaces._once import once_per_space
from engine.strategies._candidates import classes

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace
    from engine.strategies.base import Strategy


@once_per_space()
def writings(space: SearchSpace) -> tuple[tuple[Architecture, ...], ...]:
    """All writings of each of `classes`, the one with the fewest multiply-adds first, then the fewest parameters."""
    index = classes(space).index
    found: list[list[tuple[tuple[float, float], Architecture]]] = [[] for _ in index]
    for architecture in space.enumerate():
        try:
            costs = space.costs(architecture)
            place = index[space.canonical_key(architecture)]
        except CannotBuild:
            continue
        found[place].append(((costs.n_macs, costs.n_params), architecture))
    return tuple(tuple(a for _, a in sorted(some, key=lambda item: item[0])) for some in found)


class Writings:
    """One candidate for each class of a listed space: its next writing, as long as there is a fresh one.

    For searches in which two writings of a network are no duplicates. A further row of a network that was measured is a
    further draw of what it may score, and what is exact of it is that writing's own.

    Args:
        strategy: whose candidates they are.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        space = strategy.context.space
        self.index, self.all = classes(space).index, writings(space)
        self._next = np.zeros(len(self.all), dtype=np.intp)
        self._fresh = np.ones(len(self.all), dtype=bool)
        self._seen = 0
        if strategy.context.limits:
            for place in range(len(self.all)):
                self._advance(place)

    def fresh(self) -> list[Architecture]:
        """The next writing of every class that has one left."""
        context = self.strategy.context
        while self._seen < len(context.history):
            self._seen += 1
            tried = context.history[self._seen].architecture
            try:
                place = self.index.get(context.space.canonical_key(tried))
            except CannotBuild:
                continue
            if place is not None:
                self._advance(place)
        return [self.all[i][int(self._next[i])] for i in np.flatnonzero(self._fresh)]

    def _advance(self, place: int) -> None:
        """To the first writing that is fresh; what is not fresh now never is again."""
        while self._next[place] < len(self.all[place]) and not self.strategy.fresh(
            self.all[place][int(self._next[place])]
        ):
            self._next[place] += 1
        self._fresh[place] = self._next[place] < len(self.all[place])
