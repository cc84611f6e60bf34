"""Grid search: every architecture once, in an order shuffled by the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture, InvalidConfig, NotOffered
from engine.strategies._permutation import Permutation
from engine.strategies._views import bars, view
from engine.strategies.base import ENUMERABLE, TRIES, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.spaces.base import SearchSpace

#: places in a row without anything fresh after which a space too large to be walked through counts as used up
VAIN = 2_000


class Options(BaseModel):
    """How fine the grid is, and its order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    levels: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="Of each decision on a scale (depth, width) at most so many options, evenly spread; empty = all.",
    )
    shuffled: bool = Field(
        True, description="In an order drawn from the seed; else as the space lists them, the last decision fastest."
    )


def spread(options: Sequence[Option], levels: int) -> list[Option]:
    """So many of the options, evenly, both ends among them (the middle one for a single level)."""
    if len(options) <= levels:
        return list(options)
    if levels == 1:
        return [options[(len(options) - 1) // 2]]
    return [options[round(i * (len(options) - 1) / (levels - 1))] for i in range(levels)]


class Grid(Strategy):
    """Every architecture of the space once, in a seeded permutation of its listing.

    The place of a trial in the order goes through a permutation (`_permutation`) to a place of the space's listing, and
    by counting (`SearchSpace.unrank`) to the architecture: neither space nor order is ever written down, so that it
    serves 10^18 architectures as it serves a hundred, and all it keeps is how far it is. Copies of a network that was
    tried, what cannot be built and what is over a limit are passed over.

    Deviations: a classic grid takes a few values of each number; `levels` does that to decisions on a scale. Where a
    space cannot count exactly (its size is a bound), up to 50,000 architectures are listed and shuffled; beyond that
    it draws from the prior and repeats none, which is a grid in name only: none is promised to come. In a space too
    large to be listed it gives up after 2,000 places in a row without anything to try (a limit that hardly any
    architecture keeps). Every architecture is equally likely to come next: in a space whose depth is decided most of
    them are deep.
    """

    name = "grid"
    summary = "Every network once, in a shuffled order"
    reference = "Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization (grid search, beside random)"
    group = "baseline"
    guide = (
        "For a space that is small enough to be tried wholly, or to be sure that nothing comes twice. "
        "In a larger one it is random search, and anything that learns is ahead of it."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.place = 0  # places of the order that were passed
        self.grid = self._narrowed(context.space)
        self.size = self.grid.size()
        self._listed: list[Architecture] | None = None
        self._order: Permutation | None = None
        if not self.grid.exact_size and self.size <= ENUMERABLE:
            self._listed = list(self.grid.enumerate())
            self.size = len(self._listed)
        self.counted = self.grid.exact_size or self._listed is not None
        if self.counted and self.options.shuffled:
            self._order = Permutation(self.size, f"grid {context.seed}")
        self._shown = 0  # trials of the history that are in the counts below
        self._tried: Counter[tuple[str, Option]] = Counter()

    def _narrowed(self, space: SearchSpace) -> SearchSpace:
        if self.options.levels is None:
            return space
        kept = {d.name: spread(d.options, self.options.levels) for d in space.all_decisions() if d.ordered}
        try:
            return space.restrict(kept)
        except (InvalidArchitecture, NotOffered) as e:
            received = f"{self.options.levels} of each decision on a scale leave nothing: {e}"
            raise InvalidConfig([(("strategy", "levels"), received)]) from e

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """What stands at the next place that holds something fresh."""
        if not self.counted:
            return self._drawn(rng)
        first = self.place
        while self.place < self.size:
            if self.size > ENUMERABLE and self.place - first >= VAIN:
                break
            architecture = self._at(self.place)
            self.place += 1
            if self._open(architecture):
                return Proposal(architecture, why=f"place {self.place:,} of {self.size:,}", by=self.name)
        return self.nothing_new()

    def _drawn(self, rng: np.random.Generator) -> Proposal | Exhausted:
        """Where nothing can be counted: the prior, nothing twice."""
        for _ in range(TRIES):
            self.place += 1
            architecture = self.grid.sample(rng)
            if self._open(architecture):
                return Proposal(architecture, why="drawn: this space cannot be counted", by="random")
        return self.nothing_new()

    def _open(self, architecture: Architecture) -> bool:
        return self.fresh(architecture) and not self.context.trials_of(architecture)

    def _at(self, place: int) -> Architecture:
        index = place if self._order is None else self._order[place]
        return self.grid.unrank(index) if self._listed is None else self._listed[index]

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "up to 30 networks of the whole space in a shuffled order, none twice"."""
        levels: int | None = getattr(options, "levels", None)
        of = "the whole space" if levels is None else f"a grid of at most {levels:,} options per scale"
        how = "in a shuffled order" if getattr(options, "shuffled", True) else "in the order of the listing"
        return f"up to {budget.trials:,} networks of {of} {how}, none twice"

    def state(self) -> dict[str, Any]:
        """How far it is."""
        return {**super().state(), "place": self.place}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.place = int(state["place"])

    def views(self) -> dict[str, dict[str, Any]]:
        """How far it is, and how often each option was tried."""
        history, space = self.context.history, self.context.space
        while self._shown < len(history):
            self._shown += 1
            self._tried.update(history[self._shown].architecture.items)
        tried = len(history)
        share = 100 * min(1.0, self.place / self.size) if self.counted else None
        progress: list[list[Any]] = [
            ["architectures on the grid", float(self.size)],
            ["places passed", self.place],
            ["share passed, %", share],
            ["tried", tried],
            ["passed over (copies, over a limit, not buildable)", max(0, self.place - tried)],
        ]
        rows = [
            [f"{space.title(d.name)}: {space.format(d.name, o)}", self._tried[d.name, o]]
            for d in self.grid.all_decisions()
            for o in d.options
        ][:400]
        chart = bars("option", "trials")
        return {
            "grid": view("How far the grid is", ["what", "number"], progress),
            "covered": view("How often each option was tried", ["option", "trials"], rows, chart=chart),
        }
