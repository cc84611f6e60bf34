"""Counts and draws wirings: which earlier nodes each node of a graph reads, within a budget of edges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate, combinations
from math import comb

import numpy as np

from engine.architecture import Option

#: larger sets of combinations are not listed but drawn one by one; 16 nodes stay below
_LISTED = 15_000

Items = tuple[tuple[str, Option], ...]


def edge(i: int, j: int) -> str:
    """Name of the decision whether node j reads node i (0 = the cell's input)."""
    return f"edge{i}_{j}"


class Wirings:
    """Node 1 reads the cell's input; each later node reads one or more of the input and the nodes before it.

    Args:
        max_edges: most edges between nodes, those from the input included.
        allowed: what a restriction leaves of the edges' options.
    """

    def __init__(self, max_edges: int, allowed: Mapping[str, tuple[Option, ...]]) -> None:
        self.max_edges = max_edges
        self.allowed = {name: options for name, options in allowed.items() if name.startswith("edge")}
        self._follows: dict[tuple[int, int, int], int] = {}
        self._splits: dict[tuple[int, int, int], tuple[list[int], list[float]]] = {}
        self._pairs: dict[int, list[tuple[tuple[str, Option], tuple[str, Option]]]] = {}
        self._listed: dict[tuple[int, int], list[Items]] = {}

    def free(self, j: int, start: int = 0) -> tuple[list[int], int]:
        """(sources from `start` on that node j may read or not, how many of them it must read)."""
        if not self.allowed:
            return list(range(start, j)), 0
        options = [(i, self.allowed.get(edge(i, j), (False, True))) for i in range(start, j)]
        return [i for i, o in options if len(o) > 1], sum(o == (True,) for _, o in options)

    def ways(self, j: int, start: int, k: int) -> int:
        """In how many ways node j can read k of the sources from `start` on."""
        free, forced = self.free(j, start)
        return comb(len(free), k - forced) if k >= forced else 0

    def follow(self, n: int, j: int, used: int) -> int:
        """In how many ways the nodes j (from 2 on) to n can be wired when `used` edges are taken, node 1's included."""
        if j > n:
            return int(used <= self.max_edges)
        if used + n - j + 1 > self.max_edges:
            return 0
        key = (n, j, used)
        if key not in self._follows:
            self._follows[key] = sum(
                ways * self.follow(n, j + 1, used + k)
                for k in range(1, min(j, self.max_edges - used) + 1)
                if (ways := self.ways(j, 0, k))
            )
        return self._follows[key]

    def inside(self, n: int, j: int, start: int, read: int, used: int) -> int:
        """The same when node j has decided about the sources before `start`, and reads `read` of them.

        Args:
            used: edges taken by the nodes before j.
        """
        return sum(
            ways * self.follow(n, j + 1, used + read + k)
            for k in range(0 if read else 1, j - start + 1)
            if (ways := self.ways(j, start, k))
        )

    # -- drawing ------------------------------------------------------------------------------
    def draw(self, n: int, uniform: list[float], rng: np.random.Generator) -> list[Items]:
        """One wiring of n nodes, all alike probable: the decisions of each node from 2 on.

        Args:
            uniform: two numbers from [0, 1) for each node from 2 on, in order.
            rng: for nodes with very many sources only.
        """
        out: list[Items] = []
        used = 1
        for j in range(2, n + 1):
            numbers, bounds = self._split(n, j, used)
            k = numbers[bisect_right(bounds, uniform[2 * j - 4] * bounds[-1])] if len(numbers) > 1 else numbers[0]
            out.append(self._reads(j, k, uniform[2 * j - 3], rng))
            used += k
        return out

    def _split(self, n: int, j: int, used: int) -> tuple[list[int], list[float]]:
        key = (n, j, used)
        if key not in self._splits:
            weights = {
                k: self.ways(j, 0, k) * self.follow(n, j + 1, used + k)
                for k in range(1, min(j, self.max_edges - used) + 1)
            }
            numbers = [k for k, w in weights.items() if w]
            total = sum(weights.values())
            self._splits[key] = numbers, [b / total for b in accumulate(weights[k] for k in numbers)]
        return self._splits[key]

    def _reads(self, j: int, k: int, u: float, rng: np.random.Generator) -> Items:
        key = (j, k)
        if key not in self._listed:
            free, forced = self.free(j)
            if comb(len(free), k - forced) > _LISTED:
                return self._written(j, set(rng.permutation(free)[: k - forced].tolist()))
            self._listed[key] = [self._written(j, set(c)) for c in combinations(free, k - forced)]
        found = self._listed[key]
        return found[int(u * len(found))]

    def _written(self, j: int, chosen: set[int]) -> Items:
        if j not in self._pairs:
            self._pairs[j] = [((edge(i, j), False), (edge(i, j), True)) for i in range(j)]
        must = {i for i in range(j) if self.allowed.get(edge(i, j)) == (True,)} if self.allowed else set()
        return tuple([self._pairs[j][i][i in chosen or i in must] for i in range(j)])
