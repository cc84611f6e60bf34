"""Non-aging tournament evolution: the worst dies (Goldberg and Deb 1991; the twin that Real et al. 2019 compare to)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.history import TrialEntry
from engine.strategies._population import Population, best_first
from engine.strategies.base import Context

if TYPE_CHECKING:
    from engine.config import Budget


class Options(BaseModel):
    """Population, tournament and mutation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    population: int | None = Field(
        None, ge=2, le=1_000, description="Networks alive at a time; empty = a quarter of the trials, 8 to 100."
    )
    sample: int | None = Field(
        None, ge=1, le=1_000, description="Drawn per tournament; empty = a quarter of the population, at least 4."
    )
    changes: int = Field(1, ge=1, le=100, description="Decisions a child draws anew.")


def sizes(options: BaseModel, trials: int) -> tuple[int, int]:
    """Population and tournament for a budget."""
    population: int = getattr(options, "population", None) or min(100, max(8, trials // 4))
    sample: int = getattr(options, "sample", None) or max(4, round(population / 4))
    return population, min(sample, population)


class TournamentEvolution(Population):
    """P random networks, then always: draw S, change the best of them a little; the worst of the population dies.

    Symbols: P = `population`, S = `sample` (the tournament size s of Goldberg and Deb). It differs from
    `regularized_evolution` in who makes room and in nothing else: a good network stays until P better ones are found,
    so a lucky measurement stays too.

    Deviations: steady state (one child at a time), as Real et al. compare it, where Goldberg and Deb study whole
    generations. The S are distinct. P and S scale with the budget when left empty. A child that is worse than everyone
    alive is itself the one to die. A child that is not fresh is drawn again, with one more change after every four
    attempts, then from another parent, last of all from the prior. With several objectives "worst" and "best" are by
    non-domination, then crowding.
    """

    name = "tournament_evolution"
    summary = "Evolution by merit: change the best of a few, let the worst die"
    reference = "Goldberg and Deb 1991, A Comparative Analysis of Selection Schemes Used in Genetic Algorithms"
    group = "evolution"
    guide = (
        "Greedier than evolution by age, which pays where results repeat well and trials are few. "
        "Where one network's results differ from run to run take evolution by age: it forgets lucky ones."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        size, self.sample = sizes(options, context.budget.trials)
        super().__init__(options, context, size)

    def choose(self, rng: np.random.Generator) -> tuple[TrialEntry, ...]:
        """The tournament's winner."""
        return (self.tournament(self.sample, rng),)

    def vary(self, parents: tuple[TrialEntry, ...], least: int, rng: np.random.Generator) -> Architecture:
        """So many changes of the parent."""
        return self.context.space.mutate(parents[0].architecture, self.options.changes + least, rng)

    def enter(self, entry: TrialEntry) -> None:
        """In; when there are too many, the worst one goes."""
        self.population.append(entry.number)
        if len(self.population) > self.size:
            worst = best_first([self.context.history[n] for n in self.population])[-1]
            self.population.remove(worst.number)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "8 random networks, then 22 times one change to the best of 4 drawn from the best 8"."""
        population, sample = sizes(options, budget.trials)
        changes: int = getattr(options, "changes", 1)
        what = "one change" if changes == 1 else f"{changes} changes"
        return cls._sentence(population, budget, f"{what} to the best of {sample} drawn from the best {population:,}")
