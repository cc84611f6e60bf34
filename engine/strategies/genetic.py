"""A genetic algorithm: selection, crossover, mutation, elitism (Holland 1975; Goldberg 1989)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture, Option
from engine.history import TrialEntry
from engine.spaces.base import Decision
from engine.strategies._population import Generations, best_first, mutated
from engine.strategies.base import Context

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.spaces.base import SearchSpace


class Options(BaseModel):
    """The operators."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    population: int | None = Field(
        None, ge=4, le=1_000, description="Networks of a generation; empty = a tenth of the trials, 8 to 40."
    )
    selection: Literal["tournament", "rank"] = Field(
        "tournament", description="Parents: the best of a few drawn, or drawn by linear rank."
    )
    sample: int = Field(3, ge=1, le=1_000, description="Drawn per tournament.")
    pressure: float = Field(1.8, ge=1, le=2, description="Children of the best relative to the average, by rank.")
    crossover: float = Field(0.9, ge=0, le=1, description="Share of children with two parents.")
    cut: Literal["uniform", "one_point"] = Field(
        "uniform", description="Each decision from either parent, or those before a point from one."
    )
    mutation: float | None = Field(
        None, ge=0, le=1, description="Chance of each decision to be drawn anew; empty = one over their number."
    )
    elite: float = Field(0.2, ge=0, le=0.9, description="Share of the parents that live on unchanged.")


def size_of(options: BaseModel, trials: int) -> int:
    """Networks of a generation for a budget."""
    return getattr(options, "population", None) or min(40, max(8, trials // 10))


def one_point(space: SearchSpace, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
    """Decisions before a point from `a`, from there on from `b`, in the order of the space.

    A decision that its parent does not have comes from the other one; one that neither has is drawn.
    """
    names = [d.name for d in space.all_decisions() if d.name in a.choices or d.name in b.choices]
    first = set(names[: int(rng.integers(1, max(2, len(names))))])

    def choose(d: Decision) -> Option:
        order = (a, b) if d.name in first else (b, a)
        have = [p[d.name] for p in order if d.name in p.choices and p[d.name] in d.options]
        return have[0] if have else d.options[int(rng.integers(len(d.options)))]

    return space._walk(choose)


class Genetic(Generations):
    """Generations of N: parents are selected, crossed and mutated; the elite lives on beside the best children.

    Symbols (Goldberg 1989): population size n = `population`, p_c = `crossover`, p_m = `mutation`. Linear ranking is
    Baker's (1985): the best of n gets `pressure` children on average, the worst 2 - `pressure`.

    Deviations: fitness enters by rank only (fitness-proportionate selection depends on where zero is). A new generation
    is the elite of the old one and the best of the n children, so that the worst children make room for it. Each child
    is one fresh architecture, drawn again with one more changed decision after every four vain attempts. Several
    objectives: rank is by non-domination, then crowding. The size scales with the budget when left empty. Nobody waits
    for a generation to be complete (see `Generations`).
    """

    name = "genetic"
    summary = "Genetic algorithm: select, cross, mutate, keep an elite"
    reference = "Goldberg 1989, Genetic Algorithms in Search, Optimization, and Machine Learning"
    group = "evolution"
    guide = (
        "Where parts of good networks can be combined, so that two parents give more than one. "
        "Where decisions depend on each other take evolution by age or local search, which change one at a time."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context, size_of(options, context.budget.trials))

    def choose(self, rng: np.random.Generator) -> tuple[TrialEntry, ...]:
        """One parent or two, by the option's selection."""
        first = self._select(rng, None)
        if len(self.breeding) < 2 or rng.random() >= self.options.crossover:
            return (first,)
        return (first, self._select(rng, first.number))

    def _select(self, rng: np.random.Generator, besides: int | None) -> TrialEntry:
        if self.options.selection == "tournament":
            return self.tournament(self.options.sample, rng, besides)
        among = sorted((n for n in self.breeding if n != besides), key=self.place)
        n = len(among)
        best = self.options.pressure
        weights = np.linspace(best, 2 - best, n) / n if n > 1 else np.ones(1)
        return self.context.history[among[int(rng.choice(n, p=weights / weights.sum()))]]

    def vary(self, parents: tuple[TrialEntry, ...], least: int, rng: np.random.Generator) -> Architecture:
        """Crossover where there are two, then mutation."""
        space = self.context.space
        child = parents[0].architecture
        if len(parents) == 2:
            cross = one_point if self.options.cut == "one_point" else type(space).crossover
            child = cross(space, child, parents[1].architecture, rng)
        return mutated(space, child, self.options.mutation, least, rng)

    def survivors(self, parents: Sequence[TrialEntry], children: Sequence[TrialEntry]) -> list[TrialEntry]:
        """The elite of the parents, and the best children in the places that are left."""
        elite = best_first(parents)[: round(self.options.elite * self.size)]
        return [*elite, *best_first(children)[: self.size - len(elite)]]

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "8 random networks, then 22 times a child of two, in generations of 8"."""
        size = size_of(options, budget.trials)
        return cls._sentence(size, budget, f"a child of two, in generations of {size:,}")
