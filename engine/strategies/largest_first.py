"""Largest first: exact costs, no learning. The baseline that is hard to beat."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.spaces.base import SearchSpace

#: spaces up to this size are sorted whole
SORTED = 20_000
#: random points that the climbs in larger spaces start from
STARTS = 64
#: of those, the largest so many are climbed from
CLIMBS = 4


class Options(BaseModel):
    """What "large" means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["n_macs", "n_params"] = Field("n_macs", description="Multiply-adds or parameters.")


@lru_cache(maxsize=4)
def _everything(same: tuple[str, ...], ref: _Ref, by: str) -> tuple[list[Architecture], NDArray[np.float64]]:
    archs, costs = [], []
    for architecture in ref.space.enumerate():
        try:
            costs.append(float(getattr(ref.space.costs(architecture), by)))
        except CannotBuild:
            continue
        archs.append(architecture)
    return archs, np.array(costs)


class _Ref:
    """Carries a space past `lru_cache`: all are equal, so that what is looked up is the description beside it."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ref)


def everything(space: SearchSpace, by: str) -> tuple[list[Architecture], NDArray[np.float64]]:
    """All architectures that can be built, with their costs; once per process for equal spaces on equal data."""
    offered = repr([(d.name, d.options) for d in space.all_decisions()])
    data = space.data.model_dump_json() if space.data is not None else ""
    return _everything((space.name, space.options.model_dump_json(), data, offered), _Ref(space), by)


class LargestFirst(Strategy):
    """Proposes architectures in descending order of an exact cost; equal ones in an order drawn from the seed.

    Spaces of at most 20,000 architectures are sorted whole. In larger ones it climbs from the largest of some random
    points to the largest neighbour until there is none, and goes down from there best-first: the largest architecture
    not yet visited that neighbours a visited one. That is the exact descending order wherever every architecture but
    the largest has a neighbour at least as large (costs that add up over decisions), and otherwise an approximation.
    Nothing over a limit is visited, so under limits it is the order among those connected to a start.
    """

    name = "largest_first"
    summary = "Largest networks first, by exact multiply-adds, no learning: the baseline that is hard to beat"
    reference = "A size baseline, as in White et al. 2022, A Deeper Look at Zero-Cost Proxies (params, FLOPs)"
    group = "baseline"
    guide = (
        "Hard to beat where accuracy grows with size and no limit is set. "
        "Under a limit, or where small networks are wanted, take a strategy that learns."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.next = 0  # architectures taken from the order so far
        self._order: list[Architecture] | None = None
        self._heap: list[tuple[float, str, Architecture]] | None = None
        self._visited: set[str] = set()

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The next one in order that is fresh."""
        while (architecture := self._take()) is not None:
            if self.fresh(architecture):
                size = self.context.costs(architecture)[self.options.by]
                words = "multiply-adds" if self.options.by == "n_macs" else "parameters"
                return Proposal(architecture, why=f"next by size: {size:,.0f} {words}", by=self.name)
        return self.nothing_new()

    def _take(self) -> Architecture | None:
        space = self.context.space
        self.next += 1
        if space.size() <= SORTED:
            if self._order is None:
                archs, costs = everything(space, self.options.by)
                ties = np.random.default_rng([self.context.seed, 0]).permutation(len(archs))
                self._order = [archs[i] for i in np.lexsort((ties, -costs))]
            return self._order[self.next - 1] if self.next <= len(self._order) else None
        if self._heap is None:
            self._begin()
        return self._pop()

    # -- large spaces: best-first, going down ------------------------------------------------------
    def _size(self, architecture: Architecture) -> float | None:
        """Its cost, or None if it cannot be built or is over a limit."""
        try:
            costs = self.context.costs(architecture)
        except CannotBuild:
            return None
        if any(costs[name] > limit for name, limit in self.context.limits.items()):
            return None
        return costs[self.options.by]

    def _push(self, architecture: Architecture) -> None:
        if architecture.key in self._visited:
            return
        self._visited.add(architecture.key)
        size = self._size(architecture)
        if size is not None:
            tie = hashlib.blake2b(f"{self.context.seed} {architecture.key}".encode(), digest_size=12).hexdigest()
            assert self._heap is not None
            heapq.heappush(self._heap, (-size, tie, architecture))

    def _begin(self) -> None:
        self._heap = []
        space, rng = self.context.space, np.random.default_rng([self.context.seed, 0])
        starts: list[tuple[float, str, Architecture]] = []
        for _ in range(20 * STARTS):
            architecture = space.sample(rng)
            size = self._size(architecture)
            if size is not None:
                starts.append((-size, architecture.key, architecture))
            if len(starts) == STARTS:
                break
        for negative, _, start in sorted(starts)[:CLIMBS]:
            at, size = start, -negative
            while True:
                around = [(s, a.key, a) for a in space.neighbours(at) if (s := self._size(a)) is not None and s > size]
                if not around:
                    break
                size, _, at = max(around, key=lambda item: item[:2])
            self._push(at)
        for _, _, start in starts:
            self._push(start)

    def _pop(self) -> Architecture | None:
        assert self._heap is not None
        if not self._heap:
            return None
        _, _, architecture = heapq.heappop(self._heap)
        for other in self.context.space.neighbours(architecture):
            self._push(other)
        return architecture

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "the 30 networks with the most multiply-adds, the largest first"."""
        what = "multiply-adds" if getattr(options, "by", "n_macs") == "n_macs" else "parameters"
        return f"the {budget.trials:,} networks with the most {what}, the largest first"

    def state(self) -> dict[str, Any]:
        """How far it went down."""
        return {**super().state(), "next": self.next}

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes down again, without proposing: the order does not depend on results."""
        super().load(state)
        if self.context.space.size() <= SORTED:
            self.next = int(state["next"])
        else:
            while self.next < int(state["next"]):
                self._take()
