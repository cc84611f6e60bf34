"""Largest first: exact costs, no learning. The baseline that is hard to beat."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.spaces._once import once_per_space
from engine.strategies._descent import Descent
from engine.strategies._views import scatter, thinned, view
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.spaces.base import SearchSpace

#: spaces up to this size are sorted whole
SORTED = 20_000
#: trials that are shown
SHOWN = 200
_WORDS = {"n_macs": "multiply-adds", "n_params": "parameters"}
By = Literal["n_macs", "n_params"]
Count = Literal["written", "live"]


class Options(BaseModel):
    """What "large" means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: By = Field("n_macs", description="Multiply-adds or parameters.")
    count: Count = Field(
        "written",
        description="written = of everything that is built; live = only of operations on a path from input to output.",
    )


def size_of(space: SearchSpace, architecture: Architecture, by: By, count: Count) -> float:
    """The size of an architecture.

    Raises:
        CannotBuild: no network can be made of it.
    """
    if count == "written":
        return float(getattr(space.costs(architecture), by))
    return float(space.live_costs(architecture)[by == "n_macs"])


@once_per_space()
def everything(space: SearchSpace, by: By, count: Count) -> tuple[list[Architecture], NDArray[np.float64]]:
    """All architectures that can be built, with their sizes."""
    archs, sizes = [], []
    for architecture in space.enumerate():
        try:
            sizes.append(size_of(space, architecture, by, count))
        except CannotBuild:
            continue
        archs.append(architecture)
    return archs, np.array(sizes)


class LargestFirst(Strategy):
    """Proposes architectures in descending order of an exact size; equal ones in an order drawn from the seed.

    Live are operations on a path from input to output that are not `none` (`SearchSpace.live_costs`); what is built
    counts either way where a network is limited or its costs are shown.

    Spaces of at most 20,000 architectures are sorted whole. Larger ones are walked down best-first from the tops of a
    few climbs, see `_descent`: the exact descending order wherever every architecture but the largest has a neighbour
    at least as large (sizes that add up over decisions), and otherwise an approximation. Nothing over a limit is
    visited, so under limits it is the order among those connected to a start; of several writings of one network the
    first that is met stands for all. When the walk is over it draws from the prior.
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
        self._descent: Descent | None = None

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The next one in order that is fresh."""
        while (architecture := self._take()) is not None:
            if self.fresh(architecture):
                return Proposal(architecture, why=f"next by size: {self._said(architecture)}", by=self.name)
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why=f"random, nothing larger is left: {self._said(found)}", by="random")

    def _said(self, architecture: Architecture) -> str:
        live = "live " if self.options.count == "live" else ""
        size = size_of(self.context.space, architecture, self.options.by, self.options.count)
        return f"{size:,.0f} {live}{_WORDS[self.options.by]}"

    def _live(self, architecture: Architecture) -> float:
        return size_of(self.context.space, architecture, self.options.by, "live")

    def _take(self) -> Architecture | None:
        space = self.context.space
        self.next += 1
        if space.size() <= SORTED:
            if self._order is None:
                archs, sizes = everything(space, self.options.by, self.options.count)
                ties = np.random.default_rng([self.context.seed, 0]).permutation(len(archs))
                self._order = [archs[i] for i in np.lexsort((ties, -sizes))]
            return self._order[self.next - 1] if self.next <= len(self._order) else None
        if self._descent is None:
            self._descent = Descent(
                space, self._size, self._tie, self.context.identity, np.random.default_rng([self.context.seed, 0])
            )
        return self._descent.next()

    def _size(self, architecture: Architecture) -> float | None:
        """Its size, or None if it cannot be built or is over a limit."""
        try:
            if self.context.limits:
                costs = self.context.costs(architecture)
                if any(costs[name] > limit for name, limit in self.context.limits.items()):
                    return None
            return size_of(self.context.space, architecture, self.options.by, self.options.count)
        except CannotBuild:
            return None

    def _tie(self, architecture: Architecture) -> str:
        return hashlib.blake2b(f"{self.context.seed} {architecture.key}".encode(), digest_size=12).hexdigest()

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "the 30 networks with the most multiply-adds, the largest first"."""
        what = _WORDS[getattr(options, "by", "n_macs")]
        live = "live " if getattr(options, "count", "written") == "live" else ""
        return f"the {budget.trials:,} networks with the most {live}{what}, the largest first"

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

    def views(self) -> dict[str, dict[str, Any]]:
        """What size brought so far."""
        history, metric = self.context.history, self.context.objectives[0].metric
        words = ("live " if self.options.count == "live" else "") + _WORDS[self.options.by]
        rows = []
        for number in thinned([[n] for n in history.told], SHOWN):
            entry = history[number[0]]
            metrics = entry.metrics() if entry.values else {}
            if metrics.get(metric) is not None:
                size = metrics[self.options.by] if self.options.count == "written" else self._live(entry.architecture)
                rows.append([entry.number, size, metrics[metric]])
        if not rows:
            return {}
        columns = ["trial", words, metric if metric != words else f"{metric} "]
        chart = scatter(words, columns[2], label="trial")
        return {"size": view("What size brings", columns, rows, chart=chart)}
