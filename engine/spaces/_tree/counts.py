"""Counts and draws derivation trees: by dynamic programming over depth and leaves."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from engine.architecture import Option

ROOT = "root"
#: how many of each tree with 0, 1, ... leaves
Counts = list[int]


def depth_of(position: str) -> int:
    """1 for the root."""
    return position.count(".") + 1


def children_of(position: str, n: int) -> list[str]:
    """ "root.2" -> "root.2.1", ..."""
    return [f"{position}.{k}" for k in range(1, n + 1)]


class Trees:
    """Trees below each position of a grammar.

    Args:
        operations: what a leaf can be.
        rules: name -> number of parts.
        depth: most levels.
        max_leaves: most leaves.
        allowed: what a restriction leaves of the options, by position.
    """

    def __init__(
        self,
        operations: tuple[str, ...],
        rules: Mapping[str, int],
        depth: int,
        max_leaves: int,
        allowed: Mapping[str, tuple[Option, ...]],
    ) -> None:
        self.operations, self.rules, self.depth, self.max_leaves = operations, dict(rules), depth, max_leaves
        self.allowed = dict(allowed)
        #: positions at which, or below which, something is not offered
        self._narrowed = {
            ".".join(parts[:k]) for name in allowed for parts in [name.split(".")] for k in range(1, len(parts) + 1)
        }
        self._counts: dict[Any, Counts] = {}
        self._tables: dict[Any, tuple[list[tuple[str, tuple[int, ...]]], list[float]]] = {}

    def _same(self, position: str) -> Any:
        """Equal for positions below which the same trees stand."""
        return position if position in self._narrowed else depth_of(position)

    def options(self, position: str) -> tuple[str, ...]:
        """Operations, then rules where there is a level below; less what a restriction takes away."""
        offered = (*self.operations, *(self.rules if depth_of(position) < self.depth else ()))
        kept = self.allowed.get(position)
        return offered if kept is None else tuple(o for o in offered if o in kept)

    def counts(self, position: str) -> Counts:
        """How many trees there are below a position, by their leaves."""
        key = self._same(position)
        if key not in self._counts:
            out = [0] * (self.max_leaves + 1)
            for option in self.options(position):
                for leaves, n in enumerate(self._of(position, option)):
                    out[leaves] += n
            self._counts[key] = out
        return self._counts[key]

    def _of(self, position: str, option: str) -> Counts:
        if option not in self.rules:
            return [0, 1]
        return self.product([self.counts(child) for child in children_of(position, self.rules[option])])

    def product(self, parts: list[Counts]) -> Counts:
        """Trees side by side: the leaves add up."""
        out = [1]
        for part in parts:
            total = [0] * min(len(out) + len(part) - 1, self.max_leaves + 1)
            for a, n in enumerate(out):
                if n:
                    for b, m in enumerate(part[: len(total) - a]):
                        total[a + b] += n * m
            out = total
        return out

    # -- drawing ------------------------------------------------------------------------------
    def draw(self, rng: np.random.Generator) -> list[tuple[str, Option]]:
        """Any tree with the same chance, as decisions from the root on, depth first."""
        bounds = list(accumulate(self.counts(ROOT)))
        leaves = bisect_right([b / bounds[-1] for b in bounds], rng.random())
        out: list[tuple[str, Option]] = []
        stack = [(ROOT, leaves)]
        while stack:
            position, leaves = stack.pop()
            choices, shares = self._table(position, leaves)
            option, split = choices[bisect_right(shares, rng.random()) if len(choices) > 1 else 0]
            out.append((position, option))
            stack.extend(reversed(list(zip(children_of(position, len(split)), split, strict=True))))
        return out

    def _table(self, position: str, leaves: int) -> tuple[list[tuple[str, tuple[int, ...]]], list[float]]:
        """(option, leaves of its parts) for all trees with so many leaves, and the bounds of their shares."""
        key = (self._same(position), leaves)
        if key not in self._tables:
            choices: list[tuple[str, tuple[int, ...]]] = []
            weights: list[int] = []
            for option in self.options(position):
                if option not in self.rules:
                    if leaves == 1:
                        choices.append((option, ()))
                        weights.append(1)
                    continue
                parts = [self.counts(child) for child in children_of(position, self.rules[option])]
                for split in _splits(leaves, len(parts)):
                    n = 1
                    for part, k in zip(parts, split, strict=True):
                        n *= part[k]
                    if n:
                        choices.append((option, split))
                        weights.append(n)
            total = sum(weights)
            self._tables[key] = choices, [b / total for b in accumulate(weights)]
        return self._tables[key]


def _splits(total: int, parts: int) -> list[tuple[int, ...]]:
    """All ways to share leaves among parts, one at least for each."""
    if parts == 1:
        return [(total,)] if total else []
    return [(k, *rest) for k in range(1, total) for rest in _splits(total - k, parts - 1)]
