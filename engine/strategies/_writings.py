"""Candidates of small spaces by class, each with the writing of it that would be tried next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.strategies._candidates import classes

if TYPE_CHECKING:
    from engine.strategies.base import Strategy


class Writings:
    """One candidate for each class of a listed space: its next writing, as long as there is a fresh one.

    For searches in which two writings of a network are no duplicates. A further row of a network that was measured is a
    further draw of what it may score, and what is exact of it is that writing's own.

    Args:
        strategy: whose candidates they are.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        listed = classes(strategy.context.space)
        self.index = listed.index
        rng = np.random.default_rng([strategy.context.seed, 0, 2])
        self.all = [_mixed(some, int(n), rng) for some, n in zip(listed.writings, listed.smallest, strict=True)]
        self.places: NDArray[np.intp] = np.zeros(0, dtype=np.intp)  # classes of what `fresh` gave last
        self.tried: NDArray[np.intp] = np.zeros(len(self.all), dtype=np.intp)  # by class: writings in the history
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
            if (place := self.place(context.history[self._seen].architecture)) >= 0:
                self.tried[place] += 1
                self._advance(place)
        self.places = np.flatnonzero(self._fresh)
        if batch := self.strategy._batch:
            keep = [context.identity(self.all[i][int(self._next[i])]) not in batch for i in self.places]
            self.places = self.places[np.array(keep, dtype=bool)]
        return [self.all[i][int(self._next[i])] for i in self.places]

    def place(self, architecture: Architecture) -> int:
        """Which class it belongs to; -1 where it cannot be built."""
        try:
            return self.index.get(self.strategy.context.space.canonical_key(architecture), -1)
        except CannotBuild:
            return -1

    def _advance(self, place: int) -> None:
        """To the first writing that is fresh; what is not fresh now never is again."""
        while self._next[place] < len(self.all[place]) and not self.strategy.fresh(
            self.all[place][int(self._next[place])]
        ):
            self._next[place] += 1
        self._fresh[place] = self._next[place] < len(self.all[place])


def _mixed(writings: tuple[Architecture, ...], smallest: int, rng: np.random.Generator) -> tuple[Architecture, ...]:
    """The equally small ones in an order of chance, as in `Classes.chosen`."""
    if len(writings) == 1:
        return writings
    return (*(writings[i] for i in rng.permutation(smallest)), *writings[smallest:])
