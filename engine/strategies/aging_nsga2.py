"""Several objectives by age: regularized evolution (Real et al. 2019) with NSGA-II's comparison and its elitism."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.history import TrialEntry
from engine.strategies._population import Population, best_first, fronts, mutated
from engine.strategies.base import Context

if TYPE_CHECKING:
    from engine.config import Budget


class Options(BaseModel):
    """Population, tournament, operators."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    population: int | None = Field(
        None, ge=4, le=1_000, description="Networks alive at a time; empty = a tenth of the trials, 8 to 40."
    )
    sample: int = Field(2, ge=1, le=1_000, description="Drawn per tournament.")
    crossover: float = Field(0.5, ge=0, le=1, description="Share of children with two parents.")
    mutation: float | None = Field(
        None, ge=0, le=1, description="Chance of each decision to be drawn anew; empty = one over their number."
    )


def size_of(options: BaseModel, trials: int) -> int:
    """P for a budget."""
    return getattr(options, "population", None) or min(40, max(8, trials // 10))


class AgingNsga2(Population):
    """P alive; parents by tournament on front and crowding; one child at a time, and the oldest off the front dies.

    Symbols: P = `population`, S = `sample` of Real et al. 2019, Algorithm 1; front, crowding distance and the crowded
    comparison of Deb et al. 2002, III. The front of the population is its elite and does not age. When everybody is on
    the front the one with the smallest crowding distance dies, of equals the oldest.

    Deviations from both: the combination is ours; each half is as published (syne-tune's multi-objective regularized
    evolution shares the tournament by non-domination, but lets the front die of age). With one objective the elite is
    the best one alone. Crossover is uniform over decisions; children that are not fresh are drawn again, with one
    more changed decision after every four attempts. P scales with the budget when left empty. A trial's age is the
    order of results.
    """

    name = "aging_nsga2"
    summary = "Several objectives, steadily: the front lives, of the others the oldest dies"
    reference = "Real et al. 2019, Regularized Evolution; Deb et al. 2002, NSGA-II"
    group = "evolution"
    guide = (
        "Several objectives with many workers: each result counts at once, without generations. "
        "With few trials a model-based strategy covers the front sooner."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context, size_of(options, context.budget.trials))

    def choose(self, rng: np.random.Generator) -> tuple[TrialEntry, ...]:
        """One or two winners of tournaments."""
        first = self.tournament(self.options.sample, rng)
        if len(self.breeding) < 2 or rng.random() >= self.options.crossover:
            return (first,)
        return (first, self.tournament(self.options.sample, rng, besides=first.number))

    def vary(self, parents: tuple[TrialEntry, ...], least: int, rng: np.random.Generator) -> Architecture:
        """Each decision from either parent, then mutation."""
        space = self.context.space
        child = parents[0].architecture
        if len(parents) == 2:
            child = space.crossover(child, parents[1].architecture, rng)
        return mutated(space, child, self.options.mutation, least, rng)

    def enter(self, entry: TrialEntry) -> None:
        """In; when there are too many, the oldest that is not on the front goes, else the most crowded."""
        self.population.append(entry.number)
        if len(self.population) <= self.size:
            return
        members = [self.context.history[n] for n in self.population]
        front = fronts(members)
        dominated = [n for n in self.population if front[n] > 0]
        self.population.remove(dominated[0] if dominated else best_first(members)[-1].number)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "8 random networks, then 22 times a child of those alive, 8 at a time"."""
        size = size_of(options, budget.trials)
        return cls._sentence(size, budget, f"a child of the front and the youngest, {size:,} alive at a time")
