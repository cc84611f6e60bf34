"""What a surrogate may choose among: all classes of a small space, mutants of the leaders and draws of a large one.

Two writings of one network are one candidate, whatever counts as a duplicate in the search: a model that is told a
network's result knows its other writings too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.objectives import EXACT_COSTS
from engine.spaces._once import once_per_space

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace
    from engine.strategies.base import Context, Strategy

#: spaces up to this size are listed whole
LISTED = 20_000
#: draws and mutations that may be in vain before fewer candidates are enough
VAIN = 5


@dataclass(frozen=True)
class Classes:
    """All networks of a space that can be built, in all their writings.

    Attributes:
        writings: of each network, the ones with the fewest multiply-adds first.
        smallest: (n,) how many of them are equally small.
        costs: (n, 3) of the smallest, in the order of `EXACT_COSTS`.
        index: canonical key -> place.
    """

    writings: tuple[tuple[Architecture, ...], ...]
    smallest: NDArray[np.intp]
    costs: NDArray[np.float64]
    index: dict[str, int]

    def chosen(self, seed: int) -> list[Architecture]:
        """One of the smallest writings of each network, drawn: names and order of options must not decide which."""
        at = (np.random.default_rng([seed, 0, 2]).random(len(self.smallest)) * self.smallest).astype(np.intp)
        return [self.writings[i][place] for i, place in enumerate(at)]


@once_per_space()
def classes(space: SearchSpace) -> Classes:
    """All networks of a space of at most `LISTED` architectures."""
    found: dict[str, list[tuple[tuple[float, ...], Architecture]]] = {}
    for architecture in space.enumerate():
        try:
            costs = space.costs(architecture).as_metrics()
            key = space.canonical_key(architecture)
        except CannotBuild:
            continue
        size = (float(costs["n_macs"]), *(float(costs[name]) for name in EXACT_COSTS))
        found.setdefault(key, []).append((size, architecture))
    listed = [sorted(some, key=lambda item: item[0]) for some in found.values()]
    return Classes(
        tuple(tuple(a for _, a in some) for some in listed),
        np.array([sum(size == some[0][0] for size, _ in some) for some in listed], dtype=np.intp),
        np.array([some[0][0][1:] for some in listed]).reshape(-1, len(EXACT_COSTS)),
        {key: i for i, key in enumerate(found)},
    )


class Candidates:
    """The candidates of one strategy: fresh, within the limits, no two of one class.

    Attributes:
        listed: every class of the space, or None where it is too large to be listed (or not meant to be).
        architectures: the writing of each class that stands for it in this search.

    Args:
        strategy: whose candidates they are.
        most: spaces of more architectures are not listed; 0 = never list.
    """

    def __init__(self, strategy: Strategy, most: int = LISTED) -> None:
        self.strategy = strategy
        self.context: Context = strategy.context
        space = self.context.space
        self.listed: Classes | None = classes(space) if space.size() <= most else None
        self._seen = 0  # trials of the history that are marked
        self.architectures: list[Architecture] = []
        if self.listed is not None:
            self.architectures = self.listed.chosen(self.context.seed)
            self.open = np.ones(len(self.architectures), dtype=bool)  # within the limits and never tried
            for name, limit in self.context.limits.items():
                if name in EXACT_COSTS:
                    self.open &= self.listed.costs[:, EXACT_COSTS.index(name)] <= limit

    def places(self) -> NDArray[np.intp]:
        """Places in `listed` of all that are fresh; what is proposed in this call of `ask` is none."""
        assert self.listed is not None
        history = self.context.history
        while self._seen < len(history):
            self._seen += 1
            place = self.listed.index.get(self._class(history[self._seen].architecture))
            if place is not None:
                self.open[place] = False
        found = np.flatnonzero(self.open)
        if self.strategy._batch:
            keep = [self.context.identity(self.architectures[i]) not in self.strategy._batch for i in found]
            found = found[np.array(keep, dtype=bool)]
        return found

    def _class(self, architecture: Architecture) -> str:
        try:
            return self.context.space.canonical_key(architecture)
        except CannotBuild:
            return ""

    def fresh(
        self,
        rng: np.random.Generator,
        leaders: Sequence[Architecture],
        n: int = 1000,
        changes: int = 2,
        *,
        certain: bool = True,
    ) -> list[Architecture]:
        """All of a listed space, else up to `n`: half of them 1 to `changes` changes from the leaders, half drawn.

        Args:
            rng: of the proposal.
            leaders: architectures to mutate, best first; each next one is chosen half as often as the three before.
            n: how many, where the space is not listed.
            changes: most decisions that a mutant redraws.
            certain: whether each is known to be fresh; else only that it is within the limits, which spares the
                canonical key of all but the one that is proposed in the end (ask `Strategy.fresh` then).
        """
        if self.listed is not None:
            return [self.architectures[i] for i in self.places()]
        space = self.context.space
        found: dict[str, Architecture] = {}
        tries = 0
        while len(found) < n and tries < VAIN * n:
            tries += 1
            if leaders and tries % 2:
                parent = leaders[min(int(rng.exponential(4.0)), len(leaders) - 1)]
                architecture = space.mutate(parent, 1 + int(rng.integers(changes)), rng)
            else:
                architecture = space.sample(rng)
            if certain and self.strategy.fresh(architecture):
                found.setdefault(self._class(architecture), architecture)
            elif not certain and architecture.key not in found and self._within(architecture):
                found[architecture.key] = architecture
        return list(found.values())

    def _within(self, architecture: Architecture) -> bool:
        try:
            costs = self.context.costs(architecture)
        except CannotBuild:
            return False
        return all(costs[name] <= limit for name, limit in self.context.limits.items())
