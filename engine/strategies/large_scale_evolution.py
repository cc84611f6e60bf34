"""Large-scale evolution (Real, Moore, Selle, Saxena, Suematsu, Tan, Le and Kurakin 2017): pairs are compared."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.evaluation.inherited import matching
from engine.history import TrialEntry
from engine.strategies._population import Population, best_first
from engine.strategies._starts import smallest_of
from engine.strategies.base import Context, Exhausted, Proposal, Wait

if TYPE_CHECKING:
    from engine.config import Budget


class Options(BaseModel):
    """Population, mutation, weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    population: int | None = Field(
        None, ge=2, le=1_000, description="Networks alive at a time; empty = a quarter of the trials, 8 to 100."
    )
    changes: int = Field(1, ge=1, le=100, description="Decisions a child draws anew.")
    inherit: bool = Field(
        True, description="Children begin with those of their parent's weights that fit, instead of random ones."
    )
    small: int = Field(
        1, ge=1, le=100, description="Draws for each network to begin with: the smallest of them is tried."
    )


def population_size(options: BaseModel, trials: int) -> int:
    """Networks alive at a time, for a budget."""
    given: int | None = getattr(options, "population", None)
    return given or min(100, max(8, trials // 4))


class LargeScaleEvolution(Population):
    """Two of the population are drawn and compared: the worse is killed, a mutated copy of the better is trained.

    The copy inherits its parent's weights wherever name and shape of a tensor agree (section 3.3 of the paper), so that
    a network far down a line of descent has been trained for longer than its own epochs; the report says for how long.
    Nobody waits for anybody: a worker that is free compares two of those who are alive at that moment (section 3.1).

    Symbols: the population size (1,000 in the paper) = `population`.

    Deviations: the population scales with the budget when left empty. It begins with random networks, not with linear
    ones, since a budget of some hundred trials does not suffice to grow from nothing; `small` takes the smallest of
    several draws. The mutations are the space's own (a decision drawn anew) instead of the eleven of section 3.2, among
    them no identity and no resetting of weights; learning rates are changed where the space decides about the recipe.
    Nobody is killed while fewer live or train than the population holds, so that failed trials do not shrink it. A
    child that is not fresh is drawn again, then from another pair, last of all from the prior. With several objectives
    the better of two is so by non-domination, then crowding, in the population. Only the weights are inherited, neither
    the optimizer's state nor the place on the learning rate's schedule, which each trial runs through from the start.
    """

    name = "large_scale_evolution"
    summary = "Evolution by pairs: the worse dies, the better has a child that inherits its weights"
    reference = "Real et al. 2017, Large-Scale Evolution of Image Classifiers"
    group = "evolution"
    guide = (
        "Inherited weights let a line of networks train on for many trials where each gets only a few epochs. "
        "To compare networks trained equally long take another evolution: descendants have had more training."
    )
    inherits = True
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context, population_size(options, context.budget.trials))
        self._loser: int | None = None  # of the pair that was compared last

    def choose(self, rng: np.random.Generator) -> tuple[TrialEntry, ...]:
        """The better of two; remembers the worse."""
        history = self.context.history
        pair = [history[self.population[i]] for i in rng.permutation(len(self.population))[:2].tolist()]
        if len(self.context.objectives) == 1:
            better = best_first(pair)[0]
        else:
            better = min(pair, key=lambda e: self.place(e.number))
        self._loser = next((e.number for e in pair if e is not better), None)
        return (better,)

    def vary(self, parents: tuple[TrialEntry, ...], least: int, rng: np.random.Generator) -> Architecture:
        """So many changes of the parent."""
        return self.context.space.mutate(parents[0].architecture, self.options.changes + least, rng)

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """At random to begin with, then children; the worse of a pair dies when the child of the better one is made."""
        answer = super().propose(number, rng)
        if not isinstance(answer, Proposal) or not answer.parents:
            return answer
        if self._loser is not None and len(self.population) + self.under_way >= self.size:
            self.population.remove(self._loser)
            self._order = None
        if not self.options.inherit:
            return answer
        return replace(answer, init_from=matching(answer.parents[0]), depends_on=answer.parents)

    def draw(
        self, rng: np.random.Generator, how: Callable[[np.random.Generator], Architecture] | None = None
    ) -> Architecture | None:
        """The smallest of several."""
        return super().draw(rng, how or smallest_of(self.context.space, self.options.small))

    def enter(self, entry: TrialEntry) -> None:
        """In; where others' trials make the population too large, the worst goes."""
        self.population.append(entry.number)
        if len(self.population) > self.size:
            worst = best_first([self.context.history[n] for n in self.population])[-1]
            self.population.remove(worst.number)

    def keeps(self) -> Collection[int]:
        """Whoever is alive may have a child."""
        return self.population if self.options.inherit else ()

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "8 random networks, then 22 times two are compared, the worse dies, the better has a child"."""
        size = population_size(options, budget.trials)
        weights = " that begins with its weights" if getattr(options, "inherit", True) else ""
        return cls._sentence(size, budget, f"two are compared: the worse dies, the better has a child{weights}")
