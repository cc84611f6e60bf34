"""A tree of partial architectures with the results found beneath each, and what a result is worth among the others."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture, Option
from engine.history import Level
from engine.spaces.base import SearchSpace


class Node:
    """A partial architecture: the path of options that leads to it.

    Attributes:
        children: by option of its next decision, as far as they were expanded.
        results: places of the results of trials that begin with it (see `Standing`).
        closed: every architecture that begins with it was tried.
    """

    __slots__ = ("children", "closed", "results")

    def __init__(self) -> None:
        self.children: dict[Option, Node] = {}
        self.results = array("q")
        self.closed = False

    def sum(self, rewards: NDArray[np.float64]) -> float:
        """Of the rewards found beneath."""
        if not self.results:
            return 0.0
        return float(rewards[np.frombuffer(self.results, dtype=np.int64)].sum())


def backed_up(root: Node, space: SearchSpace, architecture: Architecture, result: int | None) -> None:
    """Enters a trial into the nodes it passes, and expands the first one that is missing.

    Args:
        root: of the tree.
        space: says in which order an architecture decides.
        architecture: of the trial.
        result: place of its result; None = it has none, but need not be tried again.
    """
    node, path = root, [(root, 0)]
    decisions = space.decisions(architecture)
    if result is not None:
        root.results.append(result)
    for depth, decision in enumerate(decisions, start=1):
        path[-1] = (node, len(decision.options))
        option = architecture[decision.name]
        new = option not in node.children
        node = node.children.setdefault(option, Node())
        if result is not None:
            node.results.append(result)
        path.append((node, 0))
        if new and depth < len(decisions):
            return
    node.closed = True
    for above, width in reversed(path[:-1]):
        above.closed = len(above.children) == width and all(child.closed for child in above.children.values())
        if not above.closed:
            return


class Standing:
    """What each result is worth among all that were measured alike: the share of them that is not better.

    Better is: dominates. The worth of old results changes with every new one, so that a mean over them compares what
    was found early with what was found late.
    """

    def __init__(self, objectives: int) -> None:
        self.n = 0
        self._losses = np.empty((64, objectives))
        self._level = np.empty(64, dtype=np.int64)
        self._better = np.zeros(64, dtype=np.int64)  # how many dominate it
        self._levels: dict[Level | None, int] = {}
        self._rewards: NDArray[np.float64] | None = None

    def add(self, losses: Sequence[float], level: Level | None) -> int:
        """Adds losses (m,) at a level and returns their place."""
        if self.n == len(self._level):
            self._losses, self._level, self._better = (
                np.concatenate([a, np.zeros_like(a)]) for a in (self._losses, self._level, self._better)
            )
        n, value = self.n, np.array(losses, dtype=float)
        kind = self._levels.setdefault(level, len(self._levels))
        alike, others = self._level[:n] == kind, self._losses[:n]
        above = alike & (others <= value).all(axis=1) & (others < value).any(axis=1)
        below = alike & (others >= value).all(axis=1) & (others > value).any(axis=1)
        self._better[:n][below] += 1
        self._losses[n], self._level[n], self._better[n] = value, kind, int(above.sum())
        self.n += 1
        self._rewards = None
        return n

    @property
    def rewards(self) -> NDArray[np.float64]:
        """Worth of every result, (n,), between 0 and 1: (k - better ones) / (k + 1) among k measured alike."""
        if self._rewards is None:
            level = self._level[: self.n]
            alike: NDArray[Any] = np.bincount(level, minlength=1)[level]
            self._rewards = (alike - self._better[: self.n]) / (alike + 1)
        return self._rewards
