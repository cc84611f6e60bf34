"""Architectures of a space too large to be listed, in descending order of an exact size, one at a time.

Best-first over neighbours, lazily: an architecture's neighbours are lined up by what their changes did to the size
before, and only those at the head of the line are made and measured. A change that was never measured stands in front,
and of several measurements the largest counts, so that a neighbour is measured rather too early than too late. Where
sizes add up over decisions the order is exact, at one or two measurements an architecture. Among equals the order is by
chance, as far as they were met.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from math import inf

import numpy as np

from engine.architecture import Architecture, Option
from engine.spaces.base import SearchSpace

#: random points that the climbs start from
STARTS = 64
#: of those, the largest so many are climbed from
CLIMBS = 3

#: a change of one decision: its name, from, to
_Change = tuple[str, Option, Option]


class Descent:
    """One walk down.

    Args:
        space: where.
        size: of an architecture; None = not to be visited.
        tie: orders architectures of equal size.
        identity: of two architectures with the same one only the first that is met is visited.
        rng: of the random points and of the order among equals.
    """

    def __init__(
        self,
        space: SearchSpace,
        size: Callable[[Architecture], float | None],
        tie: Callable[[Architecture], str],
        identity: Callable[[Architecture], str],
        rng: np.random.Generator,
    ) -> None:
        self.space, self.size, self.tie, self.identity, self.rng = space, size, tie, identity, rng
        self._visited: set[str] = set()
        self._met: set[str] = set()
        self._effect: dict[_Change, float] = {}  # the most that a change added, as far as measured
        self._serial = count()
        # (-size, 0 = an architecture, 1 = a line of neighbours, order among equals, serial number, which one)
        self._heap: list[tuple[float, int, str, int, _Line | Architecture]] = []
        self._begin()

    def next(self) -> Architecture | None:
        """The next smaller one, None when all that is connected to a start was given."""
        while self._heap:
            _, _, _, _, item = heapq.heappop(self._heap)
            if isinstance(item, Architecture):
                self._line_up(item)
                return item
            self._measure(item)
        return None

    def _begin(self) -> None:
        starts: list[tuple[float, str, Architecture]] = []
        for _ in range(20 * STARTS):
            architecture = self.space.sample(self.rng)
            size = self.size(architecture)
            if size is not None:
                starts.append((-size, architecture.key, architecture))
            if len(starts) == STARTS:
                break
        for negative, _, start in sorted(starts)[:CLIMBS]:
            self._visit(*self._climbed(start, -negative))
        for negative, _, start in starts:
            self._visit(start, -negative)

    def _climbed(self, at: Architecture, size: float) -> tuple[Architecture, float]:
        """Each decision to its largest option in turn, until no change makes it larger."""
        unchanged: set[str] = set()
        while decision := next((d for d in self.space.decisions(at) if d.name not in unchanged), None):
            unchanged.add(decision.name)
            before = size
            for option in decision.options:
                other = self.space.moved(at, decision.name, option)
                found = self.size(other)
                if found is not None and found > size:
                    at, size = other, found
            if size > before:
                unchanged = {decision.name}
        return at, size

    def _visit(self, architecture: Architecture, size: float | None) -> None:
        if architecture.key in self._visited:
            return
        self._visited.add(architecture.key)
        if size is None:
            return
        identity = self.identity(architecture)
        if identity not in self._met:
            self._met.add(identity)
            heapq.heappush(self._heap, (-size, 0, self.tie(architecture), next(self._serial), architecture))

    def _line_up(self, architecture: Architecture) -> None:
        size = self.size(architecture)
        assert size is not None
        moves = self.space.moves(architecture)
        expected = [size + self._effect.get((n, architecture[n], o), inf) for n, o in moves]
        order = sorted(self.rng.permutation(len(moves)).tolist(), key=expected.__getitem__)
        self._push(_Line(architecture, size, [(expected[i], *moves[i]) for i in order]))

    def _push(self, line: _Line) -> None:
        if line.left:
            heapq.heappush(self._heap, (-line.left[-1][0], 1, "", next(self._serial), line))

    def _measure(self, line: _Line) -> None:
        """The head of a line; the rest of it waits for its turn."""
        _, name, option = line.left.pop()
        neighbour = self.space.moved(line.origin, name, option)
        if neighbour.key not in self._visited:
            size = self.size(neighbour)
            self._visit(neighbour, size)
            if size is not None:
                change = (name, line.origin[name], option)
                effect = size - line.size
                self._effect[change] = max(effect, self._effect.get(change, effect))
        self._push(line)


class _Line:
    """The neighbours of an architecture that were not measured yet, (expected size, decision, option), last first."""

    def __init__(self, origin: Architecture, size: float, left: list[tuple[float, str, Option]]) -> None:
        self.origin, self.size, self.left = origin, size, left
